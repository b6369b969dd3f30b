/* Decodes a partition's records, at most those in the reader's checked batches at a time. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "calls.h"
#include "types.h"

EL_COLLECTED(reader, record_type, owner)

static PyTypeObject *reader_type;

reader *el_as_reader(PyObject *object) {
    return object != NULL && PyObject_TypeCheck(object, reader_type) && ((reader *)object)->native != NULL ? (reader *)object : NULL;
}

static int begin(PyObject *object, PyObject *arguments, PyObject *keywords) {
    reader *self = (reader *)object;
    unsigned long long address;
    PyObject *owner, *record_type, *make, *topic, *partition;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "KOO!OOO:BaseReader", &address, &owner, &PyType_Type, &record_type, &make,
                                              &topic, &partition))
        return -1;
    if (self->native != NULL || address == 0 || !PyType_IsSubtype((PyTypeObject *)record_type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "BaseReader(address, owner, record_type, make, topic, partition, /), once; records are tuples");
        return -1;
    }
    PyObject **fields[] = {&self->owner, &self->record_type, &self->make, &self->topic, &self->partition};
    PyObject *objects[] = {owner, record_type, make, topic, partition};
    for (int i = 0; i < 5; i++) {
        Py_INCREF(objects[i]);
        *fields[i] = objects[i];
    }
    self->native = (el_reader *)(uintptr_t)address;
    return 0;
}

record_maker el_maker_of(const reader *self) {
    return (record_maker){(PyTypeObject *)self->record_type, self->make, self->topic, self->partition, -1, NULL, {NULL}};
}

/* Append a new record to the list. Returns 0, or the el_taken_status that the caller has to return. */
static int append_record(PyObject *list, record_maker *maker, el_reader *reader, const el_record *source) {
    if (el_append_stolen(list, el_make_record(maker, reader, source)) == 0)
        return 0;
    int is_malformed = !PyErr_ExceptionMatches(PyExc_MemoryError);
    reader->codec_status = is_malformed ? EL_CODEC_BAD_RECORD : reader->codec_status;
    PyErr_Clear();
    return is_malformed ? EL_TAKEN_MALFORMED : EL_TAKEN_NO_MEMORY;
}

static int64_t take_records(el_reader *reader, record_maker *maker, PyObject *list, int64_t max_records, int64_t stop_offset) {
    int64_t count = 0;
    int more = 1, failure = 0;
    el_record record;
    while (count < max_records && failure == 0 && (more = el_reader_next(reader, stop_offset, &record)) == 1) {
        failure = append_record(list, maker, reader, &record);
        count++;
    }
    return failure != 0 ? failure : more < 0 ? EL_TAKEN_MALFORMED : count;
}

/* Begin to take records; 0 if records are being taken already. `end` ends it. */
static int is_begun(const reader *self, record_maker *maker) {
    if (self->native->is_busy)
        return 0;
    *maker = el_maker_of(self);
    self->native->is_busy = 1;
    return 1;
}

static void end(const reader *self, record_maker *maker) {
    self->native->is_busy = 0;
    el_maker_clear(maker);
}

/* Flattened, because poll spends most of its time here. */
__attribute__((flatten)) int64_t el_take_records(reader *self, PyObject *list, int64_t max_records, int64_t stop_offset) {
    record_maker maker;
    if (!is_begun(self, &maker))
        return EL_TAKEN_BUSY;
    int64_t taken = take_records(self->native, &maker, list, max_records, stop_offset);
    end(self, &maker);
    return taken;
}

/* Does the function accept these bytes? -1 if it has raised an exception. */
static int is_accepted(PyObject *function, const uint8_t *bytes, int32_t length) {
    if (length < 0)
        return 0;
    PyObject *argument = el_make_bytes(bytes, length);
    PyObject *answer = argument == NULL ? NULL : PyObject_CallFunctionObjArgs(function, argument, NULL);
    int is_true = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(argument);
    Py_XDECREF(answer);
    return is_true;
}

static int are_headers_accepted(PyObject *function, const el_record *record) {
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    int result = 0;
    el_header header;
    for (int32_t i = 0; result == 0 && i < record->header_count; i++) {
        if (el_header_next(&at, end, &header) != EL_CODEC_OK)
            return 0;
        result = is_accepted(function, header.key, header.key_length);
        if (result == 0)
            result = is_accepted(function, header.value, header.value_length);
    }
    return result;
}

/* Does this record match the query? -1 if the Python function has raised an exception. */
static int is_found(const el_query *query, PyObject *function, const el_record *record) {
    int result = el_record_holds(record, &query->needle, query->fields);
    if (result && function != Py_None) {
        result = 0;
        if (query->fields & EL_SEARCH_VALUE)
            result = is_accepted(function, record->value, record->value_length);
        if (result == 0 && (query->fields & EL_SEARCH_KEY))
            result = is_accepted(function, record->key, record->key_length);
        if (result == 0 && (query->fields & EL_SEARCH_HEADERS))
            result = are_headers_accepted(function, record);
    }
    return result < 0 ? -1 : result != query->is_inverted;
}

static int64_t take_found(el_reader *reader, const el_query *query, PyObject *function, record_maker *maker, PyObject *list,
                          int64_t max_records, int64_t stop_offset) {
    int64_t count = 0;
    int more = 1, failure = 0;
    el_record record;
    while (count < max_records && failure == 0) {
        more = query->is_inverted ? el_reader_next(reader, stop_offset, &record)
                                  : el_reader_search(reader, stop_offset, &query->needle, query->fields, &record);
        if (more != 1)
            break;
        int found = !query->is_inverted && function == Py_None ? 1 : is_found(query, function, &record);
        if (found == 1) {
            failure = append_record(list, maker, reader, &record);
            count++;
        } else if (found < 0) {
            failure = EL_TAKEN_RAISED;
        }
    }
    return failure != 0 ? failure : more < 0 ? EL_TAKEN_MALFORMED : count;
}

static reader *checked(PyObject *object) {
    reader *self = el_as_reader(object);
    if (self == NULL)
        PyErr_SetString(PyExc_RuntimeError, "BaseReader.__init__ was not called");
    return self;
}

static PyObject *take(PyObject *object, PyObject *arguments) {
    reader *self = checked(object);
    PyObject *list;
    long long max_records, stop_offset;
    if (self == NULL || !PyArg_ParseTuple(arguments, "O!LL:take", &PyList_Type, &list, &max_records, &stop_offset))
        return NULL;
    return PyLong_FromLongLong(el_take_records(self, list, max_records, stop_offset));
}

static PyObject *take_found_method(PyObject *object, PyObject *arguments) {
    reader *self = checked(object);
    PyObject *list, *accepts;
    unsigned long long query;
    long long max_records, stop_offset;
    if (self == NULL ||
        !PyArg_ParseTuple(arguments, "KOO!LL:take_found", &query, &accepts, &PyList_Type, &list, &max_records, &stop_offset))
        return NULL;
    record_maker maker;
    int64_t taken = EL_TAKEN_BUSY;
    if (is_begun(self, &maker)) {
        taken = take_found(self->native, (const el_query *)(uintptr_t)query, accepts, &maker, list, max_records, stop_offset);
        end(self, &maker);
    }
    return taken == EL_TAKEN_RAISED ? NULL : PyLong_FromLongLong(taken);
}

static PyMethodDef methods[] = {
    {"take", take, METH_VARARGS,
     "take($self, records, max_records, stop_offset, /)\n--\n\n"
     "Append up to `max_records` checked records below `stop_offset` to a list. Returns their number or a negative\n"
     "`el_taken_status`."},
    {"take_found", take_found_method, METH_VARARGS,
     "take_found($self, query, accepts, records, max_records, stop_offset, /)\n--\n\n"
     "As `take`, but only records that match the `el_query` at the address `query`, and whose bytes the function `accepts` accepts,\n"
     "unless it is None. It stops at the end of the checked batches. Raises what `accepts` raises."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "BaseReader(address, owner, record_type, make, topic, partition, /)\n--\n\n"
                "Decodes what the `el_reader` at this address has read; `owner` keeps the reader alive. Records are instances of\n"
                "`record_type`, a subclass of tuple with seven fields. `make` is tuple.__new__, or None if instances may be filled\n"
                "after they were made."},
    {Py_tp_init, begin},
    {Py_tp_methods, methods},
    EL_COLLECTED_SLOTS(reader),
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.BaseReader",
    .basicsize = sizeof(reader),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_add_reading(PyObject *module) {
    reader_type = el_add_type(module, &specification);
    return reader_type != NULL;
}
