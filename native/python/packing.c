/* Batches made from lists of Python objects, without Python code for each record. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../store/read.h"
#include "making.h"
#include "types.h"

#include <stdlib.h>
#include <string.h>

#define PACK_BYTES_MIN 65536

/* View a bytes object, or None as null; returns 0 for anything else. */
static int view(PyObject *object, const uint8_t **bytes, int64_t *length) {
    if (object == Py_None) {
        *bytes = NULL;
        *length = -1;
        return 1;
    }
    char *data;
    Py_ssize_t size;
    int is_bytes = Py_TYPE(object) == &PyBytes_Type || PyBytes_Check(object); /* the comparison saves the call for most objects */
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

/* Make room for `capacity` bytes, and keep the first `used`. */
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

/* Make room for `more` bytes behind the batch that is being written; this may move the buffer. */
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
    size_t room = size_max < packer->batch_bytes_max ? size_max : packer->batch_bytes_max; /* a record that is too large gets no memory */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (grow(packer, room + EL_BATCH_HEADER_BYTES) != EL_PACK_DONE)
            return EL_PACK_NO_MEMORY;
        if (el_batch_add(&packer->writer, timestamp, key, key_length, value, value_length, headers->data,
                         headers->length, headers->count) == EL_CODEC_OK)
            return EL_PACK_DONE;
        if (packer->writer.record_count == 0)
            break; /* it is alone in its batch, and still too large */
        finish_batch(packer);
        begin_batch(packer);
    }
    packer->pack->failed_bytes = (int64_t)(size_max + EL_BATCH_HEADER_BYTES);
    return EL_PACK_RECORD_TOO_LARGE;
}

/* Pack values alone: nearly all of them fit behind the last one. */
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

/* The caller has checked the lengths, but another thread may have changed a list since. From here on it cannot: this thread holds the
 * interpreter lock. */
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

/* Guess from the first value: most lists contain values of similar length. */
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

int64_t el_append_pack(el_appender *appender, const el_pack *pack, uint32_t settings_version, int64_t *end_offset, el_placed *placed) {
    int64_t first_offset = el_append_unit_if(appender, pack->data, pack->length, settings_version, end_offset);
    if (first_offset >= 0 && placed != NULL)
        *placed = (el_placed){first_offset, pack->log_append_time};
    return first_offset;
}

void el_pack_free(el_pack *pack) {
    free(pack->memory);
    pack->memory = pack->data = NULL;
}

/* The caller holds references to all of the objects. */
static PyObject *pack_lists(PyObject *module, PyObject *arguments) {
    (void)module;
    unsigned long long pack, encoding;
    PyObject *values, *keys, *headers, *timestamps;
    long long now, position;
    if (!PyArg_ParseTuple(arguments, "KOOOOLKL:pack_lists", &pack, &values, &keys, &headers, &timestamps, &now, &encoding, &position))
        return NULL;
    PyObject *lists[] = {values, keys, headers, timestamps};
    for (int i = 0; i < 4; i++)
        if (!PyList_Check(lists[i]) && (i == 0 || lists[i] != Py_None)) {
            PyErr_SetString(PyExc_TypeError, "pack_lists: what is packed are lists, or None");
            return NULL;
        }
    return PyLong_FromLong(el_pack_objects((el_pack *)(uintptr_t)pack, values, keys, headers, timestamps, now,
                                           (const el_encoding *)(uintptr_t)encoding, position));
}

static PyMethodDef functions[] = {
    {"pack_lists", pack_lists, METH_VARARGS,
     "pack_lists($module, pack, values, keys, headers, timestamps, now, encoding, position, /)\n--\n\n"
     "Encode lists of equal length into the `el_pack` at the address `pack`, and return an `el_pack_status`. Each list except\n"
     "`values` may be None. A timestamp that is None becomes `now`, as every timestamp does if the log sets timestamps itself.\n"
     "`encoding` is the address of an `el_encoding`, and `position` is where in the file the batches will probably be."},
    {NULL, NULL, 0, NULL},
};

int el_add_packing(PyObject *module) {
    return PyModule_AddFunctions(module, functions) == 0;
}
