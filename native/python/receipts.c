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

typedef struct appended_receipt {
    PyObject_HEAD
    PyObject *sender;
    long long offset;
    long long timestamp;
} appended_receipt;

EL_COLLECTED(appended_receipt, sender, sender)

static PyTypeObject *appended_receipt_type;

static PyMemberDef members[] = {
    {"_sender", T_OBJECT_EX, offsetof(appended_receipt, sender), READONLY, NULL},
    {"_offset", T_LONGLONG, offsetof(appended_receipt, offset), READONLY, NULL},
    {"_timestamp", T_LONGLONG, offsetof(appended_receipt, timestamp), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The position of an appended record."},
    {Py_tp_members, members},
    EL_COLLECTED_SLOTS(appended_receipt),
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.BaseAppendedReceipt",
    .basicsize = sizeof(appended_receipt),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_is_appended_receipt_type(PyObject *type) {
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, appended_receipt_type);
}

PyObject *el_make_appended_receipt(PyTypeObject *type, partition_sender *sender, int64_t offset, int64_t timestamp) {
    appended_receipt *receipt = (appended_receipt *)PyType_GenericAlloc(type, 0);
    if (receipt == NULL)
        return NULL;
    Py_INCREF(sender);
    receipt->sender = (PyObject *)sender;
    receipt->offset = offset;
    receipt->timestamp = timestamp;
    return (PyObject *)receipt;
}

int el_add_receipts(PyObject *module) {
    appended_receipt_type = el_add_type(module, &specification);
    return appended_receipt_type != NULL;
}
