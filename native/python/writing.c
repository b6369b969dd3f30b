#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "../store/clock.h"
#include "calls.h"
#include "types.h"

EL_COLLECTED(writer, log, owner)

static PyTypeObject *type;
static PyObject *resolve_name;

writer *el_as_writer(PyObject *object) {
    return object != NULL && PyObject_TypeCheck(object, type) && ((writer *)object)->appender != NULL ? (writer *)object : NULL;
}

static int begin(PyObject *object, PyObject *arguments, PyObject *keywords) {
    writer *self = (writer *)object;
    PyObject *log, *owner;
    unsigned long long address;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "OKO:BaseWriter", &log, &address, &owner))
        return -1;
    if (self->appender != NULL || address == 0) {
        PyErr_SetString(PyExc_TypeError, "BaseWriter(log, address, owner, /), once");
        return -1;
    }
    Py_INCREF(log);
    Py_INCREF(owner);
    self->log = log;
    self->owner = owner;
    self->appender = (el_appender *)(uintptr_t)address;
    return 0;
}

int64_t el_append_at_once(writer *self, el_new_record *record) {
    el_encoding encoding = self->appender->encoding;
    return self->appender->flush_always ? EL_LOCK_TIMEOUT : el_append_record(self->appender, &encoding, record, 0);
}

/* The offset, or a negative status. */
static int64_t append_one(el_appender *appender, el_new_record *record) {
    el_encoding encoding = appender->encoding;
    int64_t offset = el_append_record(appender, &encoding, record, 0);
    if (offset == EL_LOCK_TIMEOUT) {
        Py_BEGIN_ALLOW_THREADS
        offset = el_append_record(appender, &encoding, record, 1);
        Py_END_ALLOW_THREADS
    }
    return offset;
}

/* Let Python handle a status so that the call can be retried; 0 with an exception set if it cannot. */
static int is_resolved(writer *self, int64_t status) {
    PyObject *number = PyLong_FromLongLong(status);
    PyObject *answer = number == NULL ? NULL : PyObject_CallMethodObjArgs(self->log, resolve_name, number, NULL);
    Py_XDECREF(number);
    Py_XDECREF(answer);
    return answer != NULL;
}

/* The Python function finds out by itself how to encode instead, or what is wrong with the record. */
static int is_for_python(int64_t status) {
    return status == EL_SETTINGS_CHANGED || status == EL_RECORD_TOO_LARGE || status == EL_NO_MEMORY;
}

int el_is_flushed(writer *self, int64_t end_offset) {
    while (self->appender->flush_always) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = el_flush(self->appender, end_offset);
        Py_END_ALLOW_THREADS
        if (status == EL_DONE)
            break;
        if (!is_resolved(self, status))
            return 0;
    }
    return 1;
}

int64_t el_append_with(writer *self, el_new_record *record) {
    for (;;) {
        int64_t offset = append_one(self->appender, record);
        if (offset >= 0)
            return el_is_flushed(self, offset + 1) ? offset : -1;
        if (is_for_python(offset) || !is_resolved(self, offset))
            return offset;
    }
}

static PyObject *or_none(PyObject *list) {
    return list == NULL ? Py_None : list;
}

int64_t el_append_lists(writer *self, PyObject *const *lists, int64_t *count, el_placed *placed) {
    el_pack pack;
    int64_t offset = EL_SETTINGS_CHANGED;
    el_encoding encoding = self->appender->encoding;
    memset(&pack, 0, sizeof pack);
    int is_packed = !encoding.compresses &&
                    el_pack_objects(&pack, lists[EL_VALUE], or_none(lists[EL_KEY]), or_none(lists[EL_HEADERS]),
                                    or_none(lists[EL_TIMESTAMP]), el_now_ms(), &encoding,
                                    el_appender_position(self->appender)) == EL_PACK_DONE;
    while (is_packed) {
        Py_BEGIN_ALLOW_THREADS
        offset = el_append_pack(self->appender, &pack, encoding.settings_version, NULL, placed);
        Py_END_ALLOW_THREADS
        if (offset >= 0 || is_for_python(offset) || !is_resolved(self, offset))
            break;
    }
    *count = pack.count;
    el_pack_free(&pack);
    return offset;
}

/* The offset, or None if the append would have to wait, or needs a step in Python. */
static PyObject *append_at_once(PyObject *object, PyObject *const *arguments, Py_ssize_t count) {
    writer *self = el_as_writer(object);
    PyObject *parameters[EL_RECORD_PARAMETERS] = {NULL};
    encoded_headers headers;
    el_new_record record = {0};
    int64_t offset = -1;
    el_headers_begin(&headers);
    if (self != NULL && el_sort_record(arguments, count, NULL, parameters) && el_read_record(parameters, &headers, &record))
        offset = el_append_at_once(self, &record);
    el_headers_free(&headers);
    if (offset >= 0)
        return PyLong_FromLongLong(offset);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef methods[] = {
    EL_FAST_METHOD("append_at_once", append_at_once, 0,
                   "append_at_once($self, value, key, headers, timestamp, /)\n--\n\n"
                   "As `Partition.append`, but returns None, and appends nothing, if it would have to wait for another process or the disk."),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "BaseWriter(log, address, owner, /)\n--\n\n"
                "Appends to one partition by the `el_appender` at this address, which `owner` keeps alive. log.resolve(status) acts on\n"
                "the status of an append, or raises the error that it stands for."},
    {Py_tp_init, begin},
    {Py_tp_methods, methods},
    EL_COLLECTED_SLOTS(writer),
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.BaseWriter",
    .basicsize = sizeof(writer),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_add_writing(PyObject *module) {
    resolve_name = PyUnicode_InternFromString("resolve");
    type = el_add_type(module, &specification);
    return resolve_name != NULL && type != NULL;
}
