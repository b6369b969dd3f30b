/* A partition's append, append_many, read and wait.
 *
 * They hold the interpreter lock except while they wait. Unusual arguments and results are left to a method that is written in Python. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>

#include "../store/clock.h"
#include "calls.h"
#include "types.h"

#define SECONDS_END 0x1p53 /* the check in Python refuses this and more */
#define READ_RECORDS 500   /* the default of max_records */

enum { OFFSET, TIMEOUT, DURABLE, WAIT_PARAMETERS };
enum { MAX_RECORDS = 1, READ_PARAMETERS = 3 };

static const char *const wait_names[WAIT_PARAMETERS] = {"offset", "timeout", "durable"};
static const char *const read_names[READ_PARAMETERS] = {"offset", "max_records", "durable"};

/* The writer is NULL before __init__. */
typedef struct partition {
    PyObject_HEAD
    PyObject *writer;
    PyObject *idle; /* a list of readers that are not in use */
    char may_wait;  /* more records can still be appended */
} partition;

EL_COLLECTED(partition, writer, idle)

/* The names of the methods in Python, which handle everything that is not plain. */
static PyObject *append_name, *append_many_name, *read_name, *wait_name;

static int begin(PyObject *object, PyObject *arguments, PyObject *keywords) {
    partition *self = (partition *)object;
    PyObject *writer, *idle;
    int may_wait;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "OO!p:BasePartition", &writer, &PyList_Type, &idle, &may_wait))
        return -1;
    if (self->writer != NULL || el_as_writer(writer) == NULL) {
        PyErr_SetString(PyExc_TypeError, "BasePartition(writer, idle_readers, may_wait, /), once; the writer is a BaseWriter");
        return -1;
    }
    Py_INCREF(writer);
    Py_INCREF(idle);
    self->writer = writer;
    self->idle = idle;
    self->may_wait = (char)may_wait;
    return 0;
}

static writer *writer_of(const partition *self) {
    return (writer *)self->writer;
}

static PyObject *append(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    writer *writer = writer_of((partition *)object);
    PyObject *parameters[EL_RECORD_PARAMETERS] = {NULL};
    encoded_headers headers;
    el_new_record record = {0};
    int64_t offset = -1;
    el_headers_begin(&headers);
    if (writer != NULL && el_sort_record(arguments, count, keywords, parameters) && el_read_record(parameters, &headers, &record))
        offset = el_append_with(writer, &record);
    el_headers_free(&headers);
    if (offset >= 0)
        return PyLong_FromLongLong(offset);
    return PyErr_Occurred() ? NULL : el_call_method(object, append_name, arguments, count, keywords);
}

static PyObject *append_many(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    writer *writer = writer_of((partition *)object);
    int is_plain = count == 1 && (keywords == NULL || PyTuple_Size(keywords) == 0) && PyList_CheckExact(arguments[0]);
    if (writer != NULL && is_plain && PyList_Size(arguments[0]) > 0) {
        PyObject *lists[EL_RECORD_PARAMETERS] = {arguments[0]};
        int64_t records, offset = el_append_lists(writer, lists, &records, NULL);
        if (offset >= 0 && el_is_flushed(writer, offset + records))
            return PyObject_CallFunction((PyObject *)&PyRange_Type, "LL", offset, offset + records);
        if (PyErr_Occurred())
            return NULL;
    }
    return el_call_method(object, append_many_name, arguments, count, keywords);
}

/* Take an idle reader that has the segment of this offset open, of several the one that was used last; NULL if no reader has it open. */
static reader *take_reader(partition *self, int64_t offset, uint32_t list_version) {
    for (Py_ssize_t at = PyList_Size(self->idle) - 1; at >= 0; at--) {
        reader *reader = el_as_reader(PyList_GetItem(self->idle, at));
        if (reader == NULL || !el_segment_holds(&reader->native->segment, offset, list_version))
            continue;
        Py_INCREF(reader);
        if (PyList_SetSlice(self->idle, at, at + 1, NULL) == 0)
            return reader;
        Py_DECREF(reader);
        return NULL;
    }
    return NULL;
}

/* Put the reader back on the list, unless the partition was closed meanwhile: then its files are closed. */
static void give_back(partition *self, reader *reader) {
    if (!atomic_load(&writer_of(self)->appender->is_retired) && PyList_Append(self->idle, (PyObject *)reader) != 0)
        PyErr_Clear();
    Py_DECREF(reader);
}

/* Only with an index: without one, the segment would be scanned from its beginning. Python handles a wrong index. */
static int find(el_reader *reader, int64_t offset) {
    if (reader->next_offset == offset)
        return 1;
    int is_found = reader->segment.index_fd >= 0 && el_reader_find(reader, offset);
    if (!is_found)
        reader->next_offset = -1; /* so that Python searches for it, too */
    return is_found;
}

static int load(el_reader *reader, int64_t offset, int64_t stop_offset) {
    int is_ready;
    Py_BEGIN_ALLOW_THREADS
    is_ready = find(reader, offset) && el_reader_load(reader, stop_offset) == EL_READ_READY;
    Py_END_ALLOW_THREADS
    return is_ready;
}

typedef struct request {
    int64_t offset;
    int64_t max_records;
} request;

/* Append the records that can be read here to a list, and reduce the request by them. 0 with an exception set on failure. */
static int take_records(reader *reader, int64_t stop_offset, request *request, PyObject *records) {
    while (request->max_records > 0 && request->offset < stop_offset && load(reader->native, request->offset, stop_offset)) {
        Py_ssize_t before = PyList_Size(records);
        int64_t count = el_take_records(reader, records, request->max_records, stop_offset);
        if (count < 0)
            return PyList_SetSlice(records, before, PyList_Size(records), NULL) == 0; /* Python finds the error again, and raises it */
        request->max_records -= count;
        request->offset = reader->native->next_offset;
        if (PyErr_CheckSignals() != 0)
            return 0;
    }
    if (request->offset >= stop_offset)
        request->max_records = 0;
    return 1;
}

/* Let Python read the rest of the request, for example from another segment, or compressed records. */
static PyObject *read_on(PyObject *object, const request *rest, PyObject *records) {
    Py_ssize_t count = PyList_Size(records);
    PyObject *offset = PyLong_FromLongLong(rest->offset), *max_records = PyLong_FromLongLong(rest->max_records);
    PyObject *more = offset == NULL || max_records == NULL
                         ? NULL
                         : PyObject_CallMethodObjArgs(object, read_name, offset, max_records, NULL);
    Py_XDECREF(offset);
    Py_XDECREF(max_records);
    if (more == NULL || PyList_SetSlice(records, count, count, more) != 0)
        Py_CLEAR(records);
    Py_XDECREF(more);
    return records;
}

/* A new list; NULL with an exception set, or without one if Python has to make the list. */
static PyObject *read_plainly(PyObject *object, const request *asked) {
    partition *self = (partition *)object;
    const el_appender *appender = writer_of(self)->appender;
    const el_head *head = appender->head;
    int64_t stop_offset = el_head_end_offset(head);
    if (atomic_load(&appender->is_retired) || el_head_poison(head) != 0 || asked->offset < el_head_start_offset(head) ||
        asked->offset > stop_offset)
        return NULL;
    if (asked->offset == stop_offset)
        return PyList_New(0);
    reader *reader = take_reader(self, asked->offset, el_head_segments_version(head));
    if (reader == NULL)
        return NULL;
    PyObject *records = PyList_New(0);
    request rest = *asked;
    if (records != NULL && !take_records(reader, stop_offset, &rest, records))
        Py_CLEAR(records);
    give_back(self, reader);
    return records == NULL || rest.max_records == 0 ? records : read_on(object, &rest, records);
}

static PyObject *read_records(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *parameters[READ_PARAMETERS] = {NULL};
    request asked = {.max_records = READ_RECORDS};
    int is_plain = writer_of((partition *)object) != NULL && count <= DURABLE &&
                   el_sort_arguments(read_names, READ_PARAMETERS, arguments, count, keywords, parameters) &&
                   el_read_number(parameters[OFFSET], &asked.offset) && parameters[DURABLE] == NULL &&
                   (parameters[MAX_RECORDS] == NULL || el_read_number(parameters[MAX_RECORDS], &asked.max_records));
    PyObject *records = is_plain && asked.max_records > 0 ? read_plainly(object, &asked) : NULL;
    if (records != NULL || PyErr_Occurred())
        return records;
    return el_call_method(object, read_name, arguments, count, keywords);
}

/* Read the seconds of an exact float or int that is not negative; for None, the longest single sleep. Returns 0 for anything else. */
static int read_timeout(PyObject *object, double *seconds) {
    *seconds = EL_AWAIT_MS_MAX;
    if (object == NULL || object == Py_None)
        return 1;
    if (!PyFloat_CheckExact(object) && !PyLong_CheckExact(object))
        return 0;
    *seconds = PyFloat_AsDouble(object);
    PyErr_Clear();
    return *seconds >= 0 && *seconds < SECONDS_END;
}

/* Does the log certainly end in a record? Compaction may have left a gap at the end, and a broker a marker. */
static int ends_in_record(const el_appender *appender, int durable) {
    int64_t end = durable ? el_head_durable_offset(appender->head) : el_head_end_offset(appender->head);
    return end > appender->unsure_end && end > el_head_marker_end(appender->head) && !el_head_may_have_gaps(appender->head);
}

/* Check, and sleep at most once; 1 if a record is certainly there afterwards. */
static int sleep_once(el_appender *appender, int64_t offset, int durable, double seconds) {
    el_awaited awaited;
    int64_t milliseconds = seconds * 1000 < EL_AWAIT_MS_MAX ? (int64_t)(seconds * 1000 + 0.999) : EL_AWAIT_MS_MAX;
    el_head_await(appender->head, offset, durable, &awaited);
    if (atomic_load(&appender->is_retired))
        return 0;
    if (el_first_ready(&awaited, 1, 0) == 0)
        return ends_in_record(appender, durable);
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = el_await_any(appender->signals, el_signals_bell(appender->signals), &awaited, 1, milliseconds);
    Py_END_ALLOW_THREADS
    return status == EL_DONE && ends_in_record(appender, durable);
}

/* Continue to wait in Python, which finds out what has happened, for the rest of the time if there is a limit. */
static PyObject *wait_on(PyObject *object, PyObject **parameters, double seconds) {
    int has_limit = parameters[TIMEOUT] != NULL && parameters[TIMEOUT] != Py_None;
    PyObject *rest = has_limit ? PyFloat_FromDouble(seconds > 0 ? seconds : 0) : Py_BuildValue("");
    PyObject *durable = parameters[DURABLE] == NULL ? Py_False : parameters[DURABLE];
    PyObject *positional = rest == NULL ? NULL : PyTuple_Pack(2, parameters[OFFSET], rest);
    PyObject *named = Py_BuildValue("{s:O}", "durable", durable);
    PyObject *method = PyObject_GetAttr(object, wait_name);
    PyObject *result = positional == NULL || named == NULL || method == NULL ? NULL : PyObject_Call(method, positional, named);
    Py_XDECREF(method);
    Py_XDECREF(rest);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

static PyObject *wait(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    const partition *self = (partition *)object;
    PyObject *parameters[WAIT_PARAMETERS] = {NULL};
    int64_t offset;
    double seconds;
    int is_plain = self->may_wait && count <= DURABLE &&
                   el_sort_arguments(wait_names, WAIT_PARAMETERS, arguments, count, keywords, parameters) &&
                   el_read_number(parameters[OFFSET], &offset) && read_timeout(parameters[TIMEOUT], &seconds) &&
                   (parameters[DURABLE] == NULL || PyBool_Check(parameters[DURABLE]));
    if (!is_plain)
        return el_call_method(object, wait_name, arguments, count, keywords);
    int64_t start = el_monotonic_ns();
    if (sleep_once(writer_of(self)->appender, offset, parameters[DURABLE] == Py_True, seconds))
        return PyBool_FromLong(1);
    return wait_on(object, parameters, seconds - 1e-9 * (double)(el_monotonic_ns() - start));
}

static PyMethodDef methods[] = {
    EL_FAST_METHOD("append", append, METH_KEYWORDS,
                   "append($self, /, value, key=None, headers=None, timestamp=None, *, expected_end_offset=None)\n--\n\n"
                   "Append one record and return its offset. `timestamp` is in milliseconds since the epoch, None means now.\n\n"
                   "When it returns, every process sees the record; with fsync=\"always\" it is on disk. With `expected_end_offset` the\n"
                   "record is appended only if it gets just this offset. Raises `ConflictError` (others have appended), `RecordTooLargeError`,\n"
                   "`DiskFullError`, `PoisonedError`, `CorruptLogError` (the partition is read-only), `InvalidTypeError`,\n"
                   "`UnsupportedCodecError` (the topic's compression.type needs a library)."),
    EL_FAST_METHOD("append_many", append_many, METH_KEYWORDS,
                   "append_many($self, /, values, *, keys=None, headers=None, timestamps=None, compression=None, expected_end_offset=None)\n--\n\n"
                   "Append records as one unit and return their offsets. Lists have one item per value.\n\n"
                   "The records become visible together, and survive the death of the process together or not at all; they must fit\n"
                   "into one segment. `compression` is a producer's codec, none, gzip, snappy, lz4 or zstd; it applies if the topic's\n"
                   "compression.type leaves the choice to the producer. With `expected_end_offset` they are appended only if the first of\n"
                   "them gets just this offset; otherwise `ConflictError` says where the log ends. Raises what `append` raises, and then nothing was appended, unless\n"
                   "it is the flush of fsync=\"always\" that fails."),
    EL_FAST_METHOD("read", read_records, METH_KEYWORDS,
                   "read($self, /, offset, max_records=500, *, durable=False)\n--\n\n"
                   "Up to `max_records` records from `offset` on; [] at the end. With `durable`, only what is on disk.\n\n"
                   "Raises `OffsetOutOfRangeError` and `CorruptLogError`."),
    EL_FAST_METHOD("wait", wait, METH_KEYWORDS,
                   "wait($self, /, offset, timeout=None, *, durable=False)\n--\n\n"
                   "Block until there is a record at `offset` or after it (with `durable`: on disk); False after `timeout` seconds.\n\n"
                   "Offsets removed by compaction, and the marker that ends a transaction, are not records: `read` returns none there\n"
                   "either. Raises `CorruptLogError` if no record can come any more because the partition is damaged."),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "BasePartition(writer, idle_readers, may_wait, /)\n--\n\n"
                "What a partition does in native code. Readers are taken from the list of the idle ones, and put back at its end.\n"
                "Everything that is not plain is left to `_append`, `_append_many`, `_read` and `_wait`, which have the same parameters."},
    {Py_tp_init, begin},
    {Py_tp_methods, methods},
    EL_COLLECTED_SLOTS(partition),
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.BasePartition",
    .basicsize = sizeof(partition),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_add_partition(PyObject *module) {
    append_name = PyUnicode_InternFromString("_append");
    append_many_name = PyUnicode_InternFromString("_append_many");
    read_name = PyUnicode_InternFromString("_read");
    wait_name = PyUnicode_InternFromString("_wait");
    int has_names = append_name != NULL && append_many_name != NULL && read_name != NULL && wait_name != NULL;
    return has_names && el_add_type(module, &specification) != NULL;
}
