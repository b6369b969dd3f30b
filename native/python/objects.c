#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../store/read.h"
#include "making.h"
#include "objects.h"

#include <stdlib.h>
#include <string.h>

#define PACK_BYTES_MIN 65536
#define RECORD_FIELDS 7

/* bytes, or None for null. */
static int view(PyObject *object, const uint8_t **bytes, int64_t *length) {
    if (object == Py_None) {
        *bytes = NULL;
        *length = -1;
        return 1;
    }
    char *data;
    Py_ssize_t size;
    int is_bytes = Py_TYPE(object) == &PyBytes_Type || PyBytes_Check(object); /* the comparison spares most a call */
    if (!is_bytes || PyBytes_AsStringAndSize(object, &data, &size) != 0)
        return 0;
    *bytes = (const uint8_t *)data;
    *length = size;
    return 1;
}

static PyObject *item(PyObject *list, Py_ssize_t index) {
    return list == Py_None ? Py_None : PyList_GetItem(list, index);
}

void el_headers_begin(encoded_headers *headers) {
    headers->data = headers->few;
    headers->capacity = sizeof headers->few;
    headers->length = 0;
    headers->count = 0;
}

void el_headers_free(encoded_headers *headers) {
    if (headers->data != headers->few)
        free(headers->data);
}

static int make_room(encoded_headers *headers, size_t needed) {
    int has_own = headers->data != headers->few;
    uint8_t *data = realloc(has_own ? headers->data : NULL, 2 * needed);
    if (data == NULL)
        return 0;
    if (!has_own)
        memcpy(data, headers->few, headers->length);
    headers->data = data;
    headers->capacity = 2 * needed;
    return 1;
}

static int encode_header(encoded_headers *out, PyObject *pair) {
    const uint8_t *value;
    int64_t value_length;
    Py_ssize_t key_length;
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2 || !view(PyTuple_GetItem(pair, 1), &value, &value_length) ||
        !PyUnicode_Check(PyTuple_GetItem(pair, 0)))
        return EL_PACK_BAD_HEADERS;
    const char *key = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(pair, 0), &key_length);
    if (key == NULL)
        return EL_PACK_BAD_HEADERS;
    size_t needed = out->length + el_header_size(key_length, value_length);
    if (needed > out->capacity && !make_room(out, needed))
        return EL_PACK_NO_MEMORY;
    out->length +=
        el_header_write(out->data + out->length, (const uint8_t *)key, key_length, value, value_length);
    out->count += 1;
    return EL_PACK_DONE;
}

int el_encode_headers(encoded_headers *out, PyObject *headers) {
    out->length = 0;
    out->count = 0;
    if (headers == Py_None)
        return EL_PACK_DONE;
    int is_list = PyList_Check(headers), status = EL_PACK_DONE;
    if (!is_list && !PyTuple_Check(headers))
        return EL_PACK_BAD_HEADERS;
    Py_ssize_t count = is_list ? PyList_Size(headers) : PyTuple_Size(headers);
    for (Py_ssize_t i = 0; i < count && status == EL_PACK_DONE; i++)
        status = encode_header(out, is_list ? PyList_GetItem(headers, i) : PyTuple_GetItem(headers, i));
    return status;
}

static int read_timestamp(PyObject *object, int64_t now, int64_t *timestamp) {
    *timestamp = now;
    if (object == Py_None)
        return EL_PACK_DONE;
    if (!PyLong_Check(object) || PyBool_Check(object))
        return EL_PACK_BAD_TIMESTAMP;
    *timestamp = PyLong_AsLongLong(object);
    return *timestamp < 0 ? EL_PACK_BAD_TIMESTAMP : EL_PACK_DONE;
}

/* Have room for `capacity` bytes, keeping the first `used`. */
static int resize(el_pack *pack, size_t capacity, size_t used) {
    uint8_t *memory = malloc(capacity + EL_PAGE_BYTES);
    if (memory == NULL)
        return EL_PACK_NO_MEMORY;
    uint8_t *data = el_place_for(memory, pack->position);
    if (used > 0)
        memcpy(data, pack->data, used);
    free(pack->memory);
    pack->memory = memory;
    pack->data = data;
    pack->capacity = capacity;
    return EL_PACK_DONE;
}

typedef struct packer {
    el_pack *pack;
    el_batch_writer writer;
    size_t batch_start;
    size_t batch_bytes_max;
    int16_t attributes;
    int16_t needs_keys;
} packer;

static void begin_batch(packer *packer) {
    el_pack *pack = packer->pack;
    packer->batch_start = pack->length;
    size_t room = pack->capacity - pack->length;
    el_batch_begin(&packer->writer, pack->data + pack->length, room < packer->batch_bytes_max ? room : packer->batch_bytes_max);
}

static void finish_batch(packer *packer) {
    if (packer->writer.record_count > 0)
        packer->pack->length += el_batch_finish(&packer->writer, packer->attributes);
}

/* Room for `more` bytes behind the batch being written; the buffer may move under it. */
static int grow(packer *packer, size_t more) {
    el_pack *pack = packer->pack;
    size_t needed = packer->batch_start + packer->writer.length + more;
    if (needed > pack->capacity) {
        size_t capacity = needed > 2 * pack->capacity ? needed : 2 * pack->capacity;
        if (resize(pack, capacity, needed - more) != EL_PACK_DONE)
            return EL_PACK_NO_MEMORY;
        packer->writer.data = pack->data + packer->batch_start;
    }
    size_t room = pack->capacity - packer->batch_start;
    packer->writer.capacity = room < packer->batch_bytes_max ? room : packer->batch_bytes_max;
    return EL_PACK_DONE;
}

static int add_record(packer *packer, int64_t timestamp, PyObject *key_object, PyObject *value_object,
                      const encoded_headers *headers) {
    const uint8_t *key, *value;
    int64_t key_length, value_length;
    if (!view(value_object, &value, &value_length))
        return EL_PACK_BAD_VALUE;
    if (!view(key_object, &key, &key_length))
        return EL_PACK_BAD_KEY;
    if (key == NULL && packer->needs_keys)
        return EL_PACK_NO_KEY;
    size_t size_max = el_record_size_max(key_length, value_length, headers->length);
    size_t room = size_max < packer->batch_bytes_max ? size_max : packer->batch_bytes_max; /* what is too large gets no memory */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (grow(packer, room + EL_BATCH_HEADER_BYTES) != EL_PACK_DONE)
            return EL_PACK_NO_MEMORY;
        if (el_batch_add(&packer->writer, timestamp, key, key_length, value, value_length, headers->data,
                         headers->length, headers->count) == EL_CODEC_OK)
            return EL_PACK_DONE;
        if (packer->writer.record_count == 0)
            break; /* alone in its batch, and still too large */
        finish_batch(packer);
        begin_batch(packer);
    }
    packer->pack->failed_bytes = (int64_t)(size_max + EL_BATCH_HEADER_BYTES);
    return EL_PACK_RECORD_TOO_LARGE;
}

/* Values alone: nearly all of them fit in where the last one ended. */
__attribute__((flatten)) static int pack_plain(packer *packer, PyObject *values, int64_t now) {
    static const encoded_headers none = {0};
    Py_ssize_t count = PyList_Size(values);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *object = PyList_GetItem(values, i);
        const uint8_t *value;
        int64_t length;
        if (view(object, &value, &length) &&
            el_batch_add(&packer->writer, now, NULL, -1, value, length, NULL, 0, 0) == EL_CODEC_OK)
            continue;
        packer->pack->failed_index = i;
        int status = add_record(packer, now, Py_None, object, &none);
        if (status != EL_PACK_DONE)
            return status;
    }
    packer->pack->count = count;
    return EL_PACK_DONE;
}

/* The caller has counted them, but another thread may have changed a list since. It cannot any more: the interpreter lock is held. */
static int is_as_long(PyObject *list, Py_ssize_t count) {
    return list == Py_None || PyList_Size(list) == count;
}

static int pack_all(packer *packer, PyObject *values, PyObject *keys, PyObject *headers, PyObject *timestamps,
                    int64_t now) {
    encoded_headers encoded;
    int status = EL_PACK_DONE;
    Py_ssize_t count = PyList_Size(values);
    el_headers_begin(&encoded);
    if (!is_as_long(keys, count) || !is_as_long(headers, count) || !is_as_long(timestamps, count))
        return EL_PACK_CHANGED;
    for (Py_ssize_t i = 0; i < count && status == EL_PACK_DONE; i++) {
        int64_t timestamp = now;
        packer->pack->failed_index = i;
        if (timestamps != Py_None)
            status = read_timestamp(item(timestamps, i), now, &timestamp);
        if (status == EL_PACK_DONE && headers != Py_None)
            status = el_encode_headers(&encoded, item(headers, i));
        if (status == EL_PACK_DONE)
            status = add_record(packer, packer->attributes ? now : timestamp, item(keys, i), PyList_GetItem(values, i),
                                &encoded);
    }
    el_headers_free(&encoded);
    packer->pack->count = count;
    return status;
}

/* Most lists hold values of about one length. */
static size_t guess_bytes(PyObject *values, int64_t batch_bytes_max) {
    const uint8_t *first;
    int64_t length = 0;
    Py_ssize_t count = PyList_Size(values);
    if (count == 0 || !view(PyList_GetItem(values, 0), &first, &length))
        return PACK_BYTES_MIN;
    size_t each = el_record_size_max(-1, length, 0);
    size_t bytes_max = (size_t)batch_bytes_max < PACK_BYTES_MIN ? PACK_BYTES_MIN : (size_t)batch_bytes_max;
    if (each > bytes_max / (size_t)count)
        return bytes_max;
    size_t bytes = each * (size_t)count + EL_BATCH_HEADER_BYTES;
    return bytes < PACK_BYTES_MIN ? PACK_BYTES_MIN : bytes;
}

int el_pack_objects(el_pack *pack, PyObject *values, PyObject *keys, PyObject *headers, PyObject *timestamps, int64_t now,
                    const el_encoding *encoding, int64_t position) {
    *pack = (el_pack){.position = position, .log_append_time = encoding->attributes != 0};
    if (resize(pack, guess_bytes(values, encoding->batch_bytes_max), 0) != EL_PACK_DONE)
        return EL_PACK_NO_MEMORY;
    packer packer = {
        .pack = pack,
        .batch_bytes_max = (size_t)encoding->batch_bytes_max,
        .attributes = encoding->attributes,
        .needs_keys = encoding->needs_keys,
    };
    begin_batch(&packer);
    int is_plain = keys == Py_None && headers == Py_None && timestamps == Py_None && !encoding->needs_keys;
    int status = is_plain ? pack_plain(&packer, values, now) : pack_all(&packer, values, keys, headers, timestamps, now);
    PyErr_Clear();
    if (status == EL_PACK_DONE)
        finish_batch(&packer);
    return status;
}

int el_pack_lists(el_pack *into, uintptr_t values, uintptr_t keys, uintptr_t headers, uintptr_t timestamps, int64_t now,
                  const el_encoding *encoding, int64_t position) {
    PyGILState_STATE state = PyGILState_Ensure();
    int status = el_pack_objects(into, (PyObject *)values, (PyObject *)keys, (PyObject *)headers, (PyObject *)timestamps, now,
                                 encoding, position);
    PyGILState_Release(state);
    return status;
}

int64_t el_append_pack(el_appender *appender, const el_pack *pack, uint32_t settings_version, el_placed *placed) {
    int64_t first_offset = el_append_unit(appender, pack->data, pack->length, settings_version);
    if (first_offset >= 0 && placed != NULL)
        *placed = (el_placed){first_offset, pack->log_append_time};
    return first_offset;
}

void el_pack_free(el_pack *pack) {
    free(pack->memory);
    pack->memory = pack->data = NULL;
}

PyObject *el_make_bytes(const uint8_t *bytes, int32_t length) {
    if (length < 0) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return PyBytes_FromStringAndSize((const char *)bytes, length);
}

int el_append_stolen(PyObject *list, PyObject *object) {
    if (object == NULL)
        return -1;
    int result = PyList_Append(list, object);
    Py_DECREF(object);
    return result;
}

int el_hand_over(uintptr_t list, PyObject *object) {
    int is_done = el_append_stolen((PyObject *)list, object) == 0;
    PyErr_Clear();
    return is_done;
}

static int is_name(PyObject *name, const el_header *header) {
    Py_ssize_t length;
    const char *bytes = name == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, &length);
    if (bytes == NULL)
        PyErr_Clear(); /* one with surrogate escapes */
    return bytes != NULL && length == header->key_length && memcmp(bytes, header->key, (size_t)length) == 0;
}

/* Kafka's header keys are UTF-8; what is not is kept by surrogate escapes. */
static PyObject *name_object(PyObject **last, const el_header *header) {
    if (!is_name(*last, header)) {
        Py_XDECREF(*last);
        *last = PyUnicode_DecodeUTF8((const char *)header->key, header->key_length, "surrogateescape");
    }
    Py_XINCREF(*last);
    return *last;
}

/* A tuple of (str, bytes or None) pairs. */
static PyObject *decode_headers(record_maker *maker, const el_record *record) {
    PyObject *headers = PyTuple_New(record->header_count);
    const uint8_t *at = record->headers, *end = at + record->headers_length;
    for (int32_t i = 0; headers != NULL && i < record->header_count; i++) {
        el_header header;
        PyObject *pair = NULL;
        if (el_header_next(&at, end, &header) == EL_CODEC_OK && (pair = PyTuple_New(2)) != NULL) {
            PyTuple_SetItem(pair, 0, name_object(&maker->header_names[i % EL_HEADER_NAMES], &header));
            PyTuple_SetItem(pair, 1, el_make_bytes(header.value, header.value_length));
        }
        if (pair == NULL || PyErr_Occurred()) {
            Py_XDECREF(pair);
            Py_DECREF(headers);
            return NULL;
        }
        PyTuple_SetItem(headers, i, pair);
    }
    return headers;
}

/* Records that were appended together have one timestamp, and share the object. */
static PyObject *timestamp_object(record_maker *maker, int64_t timestamp) {
    if (maker->timestamp_object == NULL || maker->timestamp != timestamp) {
        Py_XDECREF(maker->timestamp_object);
        maker->timestamp_object = PyLong_FromLongLong(timestamp);
        maker->timestamp = timestamp;
    }
    Py_XINCREF(maker->timestamp_object);
    return maker->timestamp_object;
}

void el_maker_clear(record_maker *maker) {
    Py_CLEAR(maker->timestamp_object);
    for (int i = 0; i < EL_HEADER_NAMES; i++)
        Py_CLEAR(maker->header_names[i]);
}

/* Do the items of a tuple stand right behind its header? So it is in every CPython up to 3.13; where it is not, items are
 * stored by a call each. */
static int are_items_inline(void) {
    static int answer = -1;
    if (answer < 0) {
        PyObject *tuple = PyTuple_Pack(3, Py_True, Py_None, Py_False);
        PyObject **items = (PyObject **)((PyVarObject *)tuple + 1);
        answer = tuple != NULL && items[0] == Py_True && items[1] == Py_None && items[2] == Py_False;
        Py_XDECREF(tuple);
        PyErr_Clear();
    }
    return answer;
}

/* New references, NULL where one could not be had: then an exception is set. */
static int make_fields(record_maker *maker, const el_reader *reader, const el_record *source, PyObject **fields) {
    int64_t timestamp = el_reader_timestamp(reader, source);
    Py_INCREF(maker->topic);
    Py_INCREF(maker->partition);
    fields[0] = maker->topic;
    fields[1] = maker->partition;
    fields[2] = PyLong_FromLongLong(reader->batch.base_offset + source->offset_delta);
    fields[3] = timestamp_object(maker, timestamp);
    fields[4] = el_make_bytes(source->key, source->key_length);
    fields[5] = el_make_bytes(source->value, source->value_length);
    fields[6] = decode_headers(maker, source);
    return fields[2] != NULL && fields[3] != NULL && fields[4] != NULL && fields[5] != NULL && fields[6] != NULL;
}

static PyObject *make_record(record_maker *maker, const el_reader *reader, const el_record *source) {
    int in_place = maker->make == Py_None;
    PyObject *fields[RECORD_FIELDS];
    int is_whole = make_fields(maker, reader, source, fields);
    PyObject *record = NULL;
    if (is_whole)
        record = in_place ? PyType_GenericAlloc(maker->type, RECORD_FIELDS) : PyTuple_New(RECORD_FIELDS);
    if (record != NULL && in_place && are_items_inline()) {
        memcpy((PyVarObject *)record + 1, fields, sizeof fields);
        return record;
    }
    for (int i = 0; i < RECORD_FIELDS; i++)
        if (record != NULL)
            PyTuple_SetItem(record, i, fields[i]);
        else
            Py_XDECREF(fields[i]);
    if (record == NULL || in_place)
        return record;
    PyObject *made = PyObject_CallFunctionObjArgs(maker->make, maker->type, record, NULL);
    Py_DECREF(record);
    return made;
}

PyObject *el_make_record(record_maker *maker, const el_reader *reader, const el_record *source) {
    PyObject *record = make_record(maker, reader, source);
    if (record != NULL)
        PyObject_GC_UnTrack(record); /* it can be in no cycle: the collector need not look at those that are kept */
    return record;
}

/* Append a new record to the list: 0, or the el_taken_status that the caller returns. */
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

int64_t el_take_records(el_reader *reader, uintptr_t list, int64_t max_records, int64_t stop_offset,
                        uintptr_t record_type, uintptr_t make, uintptr_t topic, uintptr_t partition) {
    PyGILState_STATE state = PyGILState_Ensure();
    record_maker maker = {(PyTypeObject *)record_type, (PyObject *)make, (PyObject *)topic, (PyObject *)partition, -1, NULL, {NULL}};
    int64_t taken = EL_TAKEN_BUSY;
    if (!reader->is_busy) {
        reader->is_busy = 1;
        taken = take_records(reader, &maker, (PyObject *)list, max_records, stop_offset);
        reader->is_busy = 0;
    }
    el_maker_clear(&maker);
    PyGILState_Release(state);
    return taken;
}

/* Does the function accept these bytes? -1 when it has raised. */
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

/* Is this record one of those that the query is for? -1 when a Python function has raised. */
static int is_found(const el_query *query, const el_record *record) {
    PyObject *function = (PyObject *)query->accepts;
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

/* Append the exception that is under way to the list. */
static void append_exception(PyObject *list) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyList_Append(list, value);
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

static int64_t take_found(el_reader *reader, const el_query *query, record_maker *maker, PyObject *list, int64_t max_records,
                          int64_t stop_offset) {
    int64_t count = 0;
    int more = 1, failure = 0;
    el_record record;
    while (count < max_records && failure == 0) {
        more = query->is_inverted ? el_reader_next(reader, stop_offset, &record)
                                  : el_reader_search(reader, stop_offset, &query->needle, query->fields, &record);
        if (more != 1)
            break;
        int found = !query->is_inverted && query->accepts == (uintptr_t)Py_None ? 1 : is_found(query, &record);
        if (found == 1) {
            failure = append_record(list, maker, reader, &record);
            count++;
        } else if (found < 0) {
            append_exception(list);
            failure = EL_TAKEN_RAISED;
        }
    }
    return failure != 0 ? failure : more < 0 ? EL_TAKEN_MALFORMED : count;
}

int64_t el_take_found(el_reader *reader, const el_query *query, uintptr_t list, int64_t max_records, int64_t stop_offset,
                      uintptr_t record_type, uintptr_t make, uintptr_t topic, uintptr_t partition) {
    PyGILState_STATE state = PyGILState_Ensure();
    record_maker maker = {(PyTypeObject *)record_type, (PyObject *)make, (PyObject *)topic, (PyObject *)partition, -1, NULL, {NULL}};
    int64_t taken = EL_TAKEN_BUSY;
    if (!reader->is_busy) {
        reader->is_busy = 1;
        taken = take_found(reader, query, &maker, (PyObject *)list, max_records, stop_offset);
        reader->is_busy = 0;
    }
    el_maker_clear(&maker);
    PyGILState_Release(state);
    return taken;
}
