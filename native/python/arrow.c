/* Arrow's C data and stream interfaces, in capsules: columns are handed to other libraries without a copy, and without Arrow's library.
 *
 * Sources: https://arrow.apache.org/docs/format/CDataInterface.html, CStreamInterface.html, and CDataInterface/PyCapsuleInterface.html. */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"

/* The structures have the names and members that the specification gives them. */
struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

/* A consumer may release what it got in any thread, and after the interpreter has ended. */
static void drop(PyObject *object) {
    if (object == NULL || !Py_IsInitialized())
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(object);
    PyGILState_Release(state);
}

/* PyArg_ParseTuple takes it for a mistake of its caller if it does not get a tuple. */
static int is_tuple(PyObject *object) {
    if (PyTuple_Check(object))
        return 1;
    PyErr_SetString(PyExc_TypeError, "fields and nodes are tuples");
    return 0;
}

/* --- schemas --- */

static void release_schema(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) /* else it was moved */
            schema->children[i]->release(schema->children[i]);
        free(schema->children[i]);
    }
    free(schema->children);
    free((char *)schema->format);
    free((char *)schema->name);
    schema->release = NULL;
}

static int fill_schema(struct ArrowSchema *schema, PyObject *field);

static int fill_schema_children(struct ArrowSchema *schema, PyObject *fields) {
    Py_ssize_t count = PyTuple_Size(fields);
    schema->children = calloc((size_t)count + 1, sizeof *schema->children);
    if (count < 0 || schema->children == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        struct ArrowSchema *child = calloc(1, sizeof *child);
        if (child == NULL || !fill_schema(child, PyTuple_GetItem(fields, i))) {
            free(child);
            return 0;
        }
        schema->children[schema->n_children++] = child;
    }
    return 1;
}

/* From a tuple: name, format, flags, and a tuple of such tuples. 0 on failure; then nothing is to be released. */
static int fill_schema(struct ArrowSchema *schema, PyObject *field) {
    const char *name, *format;
    long long flags;
    PyObject *children;
    if (!is_tuple(field) || !PyArg_ParseTuple(field, "ssLO!:field", &name, &format, &flags, &PyTuple_Type, &children))
        return 0;
    *schema = (struct ArrowSchema){.release = release_schema, .flags = flags, .name = strdup(name), .format = strdup(format)};
    if (schema->name != NULL && schema->format != NULL && fill_schema_children(schema, children))
        return 1;
    release_schema(schema);
    return 0;
}

/* --- arrays --- */

static void release_array(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) /* else it was moved, and has a reference of its own to the memory */
            array->children[i]->release(array->children[i]);
        free(array->children[i]);
    }
    free(array->children);
    free(array->buffers);
    array->release = NULL;
    drop(array->private_data);
}

static int fill_array(struct ArrowArray *array, PyObject *node, PyObject *owner);

static int fill_buffers(struct ArrowArray *array, PyObject *addresses) {
    Py_ssize_t count = PyTuple_Size(addresses);
    array->buffers = calloc((size_t)count + 1, sizeof *array->buffers);
    if (count < 0 || array->buffers == NULL)
        return 0;
    for (array->n_buffers = 0; array->n_buffers < count; array->n_buffers++)
        array->buffers[array->n_buffers] = PyLong_AsVoidPtr(PyTuple_GetItem(addresses, array->n_buffers));
    return !PyErr_Occurred();
}

static int fill_array_children(struct ArrowArray *array, PyObject *nodes, PyObject *owner) {
    Py_ssize_t count = PyTuple_Size(nodes);
    array->children = calloc((size_t)count + 1, sizeof *array->children);
    if (count < 0 || array->children == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        struct ArrowArray *child = calloc(1, sizeof *child);
        if (child == NULL || !fill_array(child, PyTuple_GetItem(nodes, i), owner)) {
            free(child);
            return 0;
        }
        array->children[array->n_children++] = child;
    }
    return 1;
}

/* From a tuple: length, number of nulls, a tuple of the buffers' addresses, and a tuple of such tuples. The owner holds the memory. 0 on
 * failure; then nothing is to be released. */
static int fill_array(struct ArrowArray *array, PyObject *node, PyObject *owner) {
    long long length, null_count;
    PyObject *addresses, *children;
    if (!is_tuple(node) ||
        !PyArg_ParseTuple(node, "LLO!O!:array", &length, &null_count, &PyTuple_Type, &addresses, &PyTuple_Type, &children))
        return 0;
    Py_INCREF(owner);
    *array = (struct ArrowArray){.release = release_array, .private_data = owner, .length = length, .null_count = null_count};
    if (fill_buffers(array, addresses) && fill_array_children(array, children, owner))
        return 1;
    release_array(array);
    return 0;
}

/* --- streams --- */

typedef struct stream {
    PyObject *field; /* the schema, as fill_schema takes it */
    PyObject *next;  /* a function that returns the next array with its owner, or None at the end */
    char *error;
} stream;

/* Note the exception that is set, and clear it. */
static int fail(stream *self, int status) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *name = type == NULL ? NULL : PyObject_GetAttrString(type, "__name__");
    PyObject *text = name == NULL ? NULL : PyUnicode_FromFormat("%U: %S", name, value == NULL ? Py_None : value);
    const char *bytes = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, NULL);
    free(self->error);
    self->error = strdup(bytes == NULL ? "out of memory" : bytes);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(name);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return status;
}

static int get_schema(struct ArrowArrayStream *array_stream, struct ArrowSchema *out) {
    stream *self = array_stream->private_data;
    PyGILState_STATE state = PyGILState_Ensure();
    int status = fill_schema(out, self->field) ? 0 : fail(self, ENOMEM);
    PyGILState_Release(state);
    return status;
}

static int get_next(struct ArrowArrayStream *array_stream, struct ArrowArray *out) {
    stream *self = array_stream->private_data;
    PyObject *node, *owner;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *found = PyObject_CallObject(self->next, NULL);
    int status = 0;
    *out = (struct ArrowArray){0}; /* released: the end */
    if (found == NULL)
        status = fail(self, EIO);
    else if (found != Py_None &&
             (!is_tuple(found) || !PyArg_ParseTuple(found, "OO:next", &node, &owner) || !fill_array(out, node, owner)))
        status = fail(self, ENOMEM);
    Py_XDECREF(found);
    PyGILState_Release(state);
    return status;
}

static const char *get_last_error(struct ArrowArrayStream *array_stream) {
    return ((stream *)array_stream->private_data)->error;
}

static void release_stream(struct ArrowArrayStream *array_stream) {
    stream *self = array_stream->private_data;
    drop(self->next);
    drop(self->field);
    free(self->error);
    free(self);
    array_stream->release = NULL;
}

/* --- capsules --- */

#define CAPSULE(kind, type, label)                                       \
    static void end_##kind(PyObject *capsule) {                          \
        struct type *held = PyCapsule_GetPointer(capsule, label);        \
        if (held->release != NULL)                                       \
            held->release(held);                                         \
        free(held);                                                      \
    }                                                                    \
    static PyObject *kind##_capsule(struct type *held) {                 \
        PyObject *capsule = PyCapsule_New(held, label, end_##kind);      \
        if (capsule == NULL) {                                           \
            held->release(held);                                         \
            free(held);                                                  \
        }                                                                \
        return capsule;                                                  \
    }

CAPSULE(schema, ArrowSchema, "arrow_schema")
CAPSULE(array, ArrowArray, "arrow_array")
CAPSULE(stream, ArrowArrayStream, "arrow_array_stream")

/* What a fill_... that has failed says. */
static PyObject *no_memory(void *memory) {
    free(memory);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

static PyObject *arrow_schema(PyObject *module, PyObject *field) {
    (void)module;
    struct ArrowSchema *schema = calloc(1, sizeof *schema);
    return schema != NULL && fill_schema(schema, field) ? schema_capsule(schema) : no_memory(schema);
}

static PyObject *arrow_array(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *node, *owner;
    if (!PyArg_ParseTuple(arguments, "OO:arrow_array", &node, &owner))
        return NULL;
    struct ArrowArray *array = calloc(1, sizeof *array);
    return array != NULL && fill_array(array, node, owner) ? array_capsule(array) : no_memory(array);
}

static PyObject *arrow_stream(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *field, *next;
    if (!PyArg_ParseTuple(arguments, "OO:arrow_stream", &field, &next))
        return NULL;
    struct ArrowArrayStream *array_stream = calloc(1, sizeof *array_stream);
    stream *self = calloc(1, sizeof *self);
    if (array_stream == NULL || self == NULL) {
        free(self);
        return no_memory(array_stream);
    }
    Py_INCREF(field);
    Py_INCREF(next);
    *self = (stream){field, next, NULL};
    *array_stream = (struct ArrowArrayStream){get_schema, get_next, get_last_error, release_stream, self};
    return stream_capsule(array_stream);
}

static PyMethodDef functions[] = {
    {"arrow_schema", arrow_schema, METH_O,
     "arrow_schema($module, field, /)\n--\n\n"
     "A capsule with an ArrowSchema. A field is a tuple: its name, its format and flags as Arrow has them, and a tuple of fields."},
    {"arrow_array", arrow_array, METH_VARARGS,
     "arrow_array($module, node, owner, /)\n--\n\n"
     "A capsule with an ArrowArray. A node is a tuple: length, number of nulls, the addresses of its buffers, and a tuple of nodes.\n"
     "`owner` is an object that holds the memory of all buffers."},
    {"arrow_stream", arrow_stream, METH_VARARGS,
     "arrow_stream($module, field, next, /)\n--\n\n"
     "A capsule with an ArrowArrayStream. `next` is called for a node and its owner, and returns None at the end."},
    {0},
};

int el_add_arrow(PyObject *module) {
    return PyModule_AddFunctions(module, functions) == 0;
}
