/* A record's position in the log, the base of the receipts that a producer returns. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>

#include "sending.h"
#include "types.h"

typedef struct place {
    PyObject_HEAD
    PyObject *sender;
    long long offset;
    long long timestamp;
} place;

EL_COLLECTED(place, sender, sender)

static PyTypeObject *place_type;

static PyMemberDef members[] = {
    {"_sender", T_OBJECT_EX, offsetof(place, sender), READONLY, NULL},
    {"_offset", T_LONGLONG, offsetof(place, offset), READONLY, NULL},
    {"_timestamp", T_LONGLONG, offsetof(place, timestamp), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Where an appended record is."},
    {Py_tp_members, members},
    EL_COLLECTED_SLOTS(place),
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.Place",
    .basicsize = sizeof(place),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_is_place_type(PyObject *type) {
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, place_type);
}

PyObject *el_make_place(PyTypeObject *type, partition_sender *sender, int64_t offset, int64_t timestamp) {
    place *receipt = (place *)PyType_GenericAlloc(type, 0);
    if (receipt == NULL)
        return NULL;
    Py_INCREF(sender);
    receipt->sender = (PyObject *)sender;
    receipt->offset = offset;
    receipt->timestamp = timestamp;
    return (PyObject *)receipt;
}

int el_add_receipts(PyObject *module) {
    place_type = el_add_type(module, &specification);
    return place_type != NULL;
}
