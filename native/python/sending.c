/* A producer's send: it chooses the partition, appends the record or lets it wait, and makes the receipt, without a step in Python. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>

#include "sending.h"
#include "types.h"

enum { TOPIC, VALUE, KEY, HEADERS, PARTITION, TIMESTAMP, SEND_PARAMETERS };

static const char *const names[SEND_PARAMETERS] = {"topic", "value", "key", "headers", "partition", "timestamp"};

/* The topics are NULL if Python sends all records. */
typedef struct producer {
    PyObject_HEAD
    PyObject *topics;       /* a dict of partition_choice objects by the topics' names */
    PyObject *receipt_type; /* the type of receipts, either for appended or for waiting records */
    const el_signals *signals;
    long long catalog_version; /* the version that the topics correspond to */
    char has_notifier;         /* `_note` has to be called for each record */
    char lingers;              /* records wait in batches */
} producer;

EL_COLLECTED(producer, topics, receipt_type)

static PyTypeObject *type;
static PyObject *send_name, *note_name; /* of the methods that are written in Python */

static int begin_producer(PyObject *object, PyObject *arguments, PyObject *keywords) {
    producer *self = (producer *)object;
    PyObject *topics, *receipt_type;
    unsigned long long signals;
    if (keywords != NULL || !PyArg_ParseTuple(arguments, "KO!O:BaseProducer", &signals, &PyDict_Type, &topics, &receipt_type))
        return -1;
    int lingers = el_is_batch_receipt_type(receipt_type);
    if (self->topics != NULL || signals == 0 || !(lingers || el_is_appended_receipt_type(receipt_type))) {
        PyErr_SetString(PyExc_TypeError, "BaseProducer(signals, topics, receipt_type, /), once; the receipts are of a native type");
        return -1;
    }
    Py_INCREF(topics);
    Py_INCREF(receipt_type);
    self->topics = topics;
    self->receipt_type = receipt_type;
    self->signals = (const el_signals *)(uintptr_t)signals;
    self->lingers = (char)lingers;
    return 0;
}

/* A new reference to the partition_choice of a topic; NULL if Python has to find the topic. */
static partition_choice *find_topic(const producer *self, PyObject *name) {
    if (self->topics == NULL || !PyUnicode_CheckExact(name))
        return NULL;
    PyObject *topic = PyDict_GetItemWithError(self->topics, name);
    if (topic == NULL || el_signals_catalog_version(self->signals) != self->catalog_version)
        return NULL;
    Py_XINCREF(el_as_choice(topic));
    return el_as_choice(topic);
}

/* Note that a record was appended, and call the notifier if there is one; 0 with an exception set on failure. */
static int is_noted(producer *self, partition_sender *sender, int64_t offset) {
    if (!self->has_notifier) {
        sender->last_offset = offset;
        return 1;
    }
    PyObject *number = PyLong_FromLongLong(offset);
    PyObject *answer = number == NULL ? NULL : PyObject_CallMethodObjArgs((PyObject *)self, note_name, sender, number, NULL);
    Py_XDECREF(number);
    Py_XDECREF(answer);
    return answer != NULL;
}

/* Append a record, and return its receipt; NULL without an exception set if Python has to handle the record. */
static PyObject *append_now(producer *self, partition_sender *sender, el_new_record *record, int may_wait) {
    writer *writer = (struct writer *)sender->writer;
    int64_t offset = writer == NULL ? -1 : may_wait ? el_append_with(writer, record) : el_append_at_once(writer, record);
    PyObject *receipt =
        offset < 0 ? NULL : el_make_appended_receipt((PyTypeObject *)self->receipt_type, sender, offset, record->stored_timestamp);
    if (receipt != NULL && !is_noted(self, sender, offset))
        Py_CLEAR(receipt);
    return receipt;
}

/* Append a record or let it wait, and return its receipt; NULL as in append_now. */
static PyObject *send_to(producer *self, partition_choice *choice, PyObject *const *parameters, int may_wait) {
    PyObject *own[EL_RECORD_PARAMETERS] = {parameters[VALUE], parameters[KEY], parameters[HEADERS], parameters[TIMESTAMP]};
    encoded_headers headers;
    el_new_record record = {0};
    PyObject *receipt = NULL, *kept = NULL;
    int64_t partition = -1;
    if (self->lingers && own[EL_HEADERS] != NULL && PyList_Check(own[EL_HEADERS])) {
        own[EL_HEADERS] = kept = PyList_AsTuple(own[EL_HEADERS]); /* the caller may change the list */
        if (kept == NULL)
            return NULL;
    }
    el_headers_begin(&headers);
    if (el_read_record(own, &headers, &record))
        partition = el_choose(choice, parameters[PARTITION], &record, self->lingers);
    if (partition >= 0) {
        partition_sender *sender = el_sender_of(choice, partition);
        receipt = self->lingers ? el_gather((PyTypeObject *)self->receipt_type, sender, own, &record)
                                : append_now(self, sender, &record, may_wait);
    }
    el_headers_free(&headers);
    Py_XDECREF(kept);
    if (receipt != NULL)
        el_count_sticky(choice, parameters[PARTITION], &record);
    return receipt;
}

/* Send a plain record, and return its receipt; NULL without an exception set if Python has to handle the record. */
static PyObject *send_plainly(producer *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, int may_wait) {
    PyObject *parameters[SEND_PARAMETERS] = {NULL}, *receipt = NULL;
    partition_choice *choice = NULL;
    if (el_sort_arguments(names, SEND_PARAMETERS, arguments, count, keywords, parameters) && parameters[VALUE] != NULL)
        choice = find_topic(self, parameters[TOPIC]);
    if (choice != NULL)
        receipt = send_to(self, choice, parameters, may_wait);
    Py_XDECREF(choice);
    return receipt;
}

static PyObject *send(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
    PyObject *receipt = send_plainly((producer *)self, arguments, count, keywords, 1);
    return receipt != NULL || PyErr_Occurred() ? receipt : el_call_method(self, send_name, arguments, count, keywords);
}

/* A send for callers that must not wait. It is a function and not a method, because it is not for users. */
static PyObject *send_at_once(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != SEND_PARAMETERS + 1 || !PyObject_TypeCheck(arguments[0], type)) {
        PyErr_SetString(PyExc_TypeError, "send_at_once(producer, topic, value, key, headers, partition, timestamp, /)");
        return NULL;
    }
    PyObject *receipt = send_plainly((producer *)arguments[0], arguments + 1, count - 1, NULL, 0);
    if (receipt != NULL || PyErr_Occurred())
        return receipt;
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef methods[] = {
    EL_FAST_METHOD("send", send, METH_KEYWORDS,
                   "send($self, /, topic, value, key=None, headers=None, partition=None, timestamp=None)\n--\n\n"
                   "Append one record and return its receipt, which says where it is.\n\n"
                   "The record goes to the given partition; else to that of its key, which is the one Kafka's clients choose; else to one\n"
                   "that changes with every batch, or, without `linger_ms`, every few records and every 50 ms, so that all take turns.\n"
                   "`timestamp` is in milliseconds since the epoch, None means now. Raises what `Partition.append` raises,\n"
                   "`TopicNotFoundError` and `PartitionNotFoundError`."),
    {NULL, NULL, 0, NULL},
};

static PyMethodDef functions[] = {
    EL_FAST_METHOD("send_at_once", send_at_once, 0,
                   "send_at_once($module, producer, topic, value, key, headers, partition, timestamp, /)\n--\n\n"
                   "As `Producer.send`, or None, with nothing sent, where that would wait, or take a step in Python."),
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"_catalog_version", T_LONGLONG, offsetof(producer, catalog_version), 0, NULL},
    {"_has_notifier", T_BOOL, offsetof(producer, has_notifier), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "BaseProducer(signals, topics, receipt_type, /)\n--\n\n"
                "What a producer does in native code: `signals` is the address of the store's signals, and `topics` a dict of\n"
                "PartitionChoice by names. Everything else is left to `_send`, which has the parameters of `send`, and\n"
                "`_note(sender, offset)` hears of each appended record where `_has_notifier` is set."},
    {Py_tp_init, begin_producer},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    EL_COLLECTED_SLOTS(producer),
    {0, NULL},
};

static PyType_Spec specification = {
    .name = "eventlog._native.BaseProducer",
    .basicsize = sizeof(producer),
    .flags = EL_COLLECTED_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int el_add_sending(PyObject *module) {
    send_name = PyUnicode_InternFromString("_send");
    note_name = PyUnicode_InternFromString("_note");
    type = el_add_type(module, &specification);
    return send_name != NULL && note_name != NULL && type != NULL && PyModule_AddFunctions(module, functions) == 0;
}
