/* Searching a sparse index, beside going through all of its entries. */

#define _GNU_SOURCE
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/index.h"
#include "check.h"

#define ENTRIES_MAX 1500

/* The kinds of index: how long their entries and the numbers at the beginning of these are. */
typedef struct kind {
    size_t entry_bytes;
    size_t key_bytes;
} kind;

static const kind offsets = {EL_INDEX_ENTRY_BYTES, 4}, times = {EL_TIME_INDEX_ENTRY_BYTES, 8};

/* Keys 10, 20, 30 and so on, each with its number behind it; `torn` bytes of a further entry. */
static int new_index(kind kind, int count, size_t torn) {
    uint8_t bytes[(ENTRIES_MAX + 1) * EL_TIME_INDEX_ENTRY_BYTES] = {0};
    for (int i = 0; i <= count; i++) {
        uint64_t key = kind.key_bytes == 4 ? (uint64_t)htobe32((uint32_t)(10 * (i + 1))) : htobe64((uint64_t)(10 * (i + 1)));
        uint32_t number = htobe32((uint32_t)i);
        memcpy(bytes + (size_t)i * kind.entry_bytes, &key, kind.key_bytes);
        memcpy(bytes + (size_t)i * kind.entry_bytes + kind.key_bytes, &number, sizeof number);
    }
    int fd = memfd_create("index", 0);
    size_t length = (size_t)count * kind.entry_bytes + torn;
    CHECK(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    return fd;
}

static int find_below(int fd, kind kind, int64_t key, int64_t keys_end) {
    uint8_t entry[EL_TIME_INDEX_ENTRY_BYTES];
    uint32_t number;
    if (!el_index_floor(fd, kind.entry_bytes, kind.key_bytes, key, keys_end, entry))
        return -1;
    memcpy(&number, entry + kind.key_bytes, sizeof number);
    return (int)be32toh(number);
}

/* The number of the entry that was found, -1 if there is none: whatever is known of the keys, also if that is wrong. */
static int find(int fd, kind kind, int64_t key) {
    int found = find_below(fd, kind, key, 0);
    CHECK(find_below(fd, kind, key, 10 * ENTRIES_MAX) == found && find_below(fd, kind, key, 100) == found);
    CHECK(find_below(fd, kind, key, 1000 * ENTRIES_MAX) == found && find_below(fd, kind, key, INT64_MAX) == found);
    return found;
}

static void test_every_key_finds_the_last_entry_that_is_not_behind_it(kind kind) {
    static const int counts[] = {0, 1, 2, 3, 340, 341, 342, 511, 512, 513, 1025, ENTRIES_MAX};
    for (size_t at = 0; at < sizeof counts / sizeof *counts; at++)
        for (size_t torn = 0; torn < kind.entry_bytes; torn += kind.entry_bytes - 1) {
            int fd = new_index(kind, counts[at], torn);
            for (int i = 0; i <= counts[at]; i++) {
                int last = i < counts[at] ? i : counts[at] - 1;
                CHECK(find(fd, kind, 10 * (i + 1) - 1) == i - 1);
                CHECK(find(fd, kind, 10 * (i + 1)) == last && find(fd, kind, 10 * (i + 1) + 1) == last);
            }
            CHECK(find(fd, kind, INT64_MAX) == counts[at] - 1 && find(fd, kind, -1) == -1);
            close(fd);
        }
}

static void test_numbers_have_signs(void) {
    uint8_t entry[EL_INDEX_ENTRY_BYTES] = {0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 9}, found[EL_INDEX_ENTRY_BYTES];
    int fd = memfd_create("index", 0);
    CHECK(write(fd, entry, sizeof entry) == sizeof entry);
    CHECK(el_index_floor(fd, sizeof entry, 4, -2, 0, found) == 1 && el_index_floor(fd, sizeof entry, 4, -3, 0, found) == 0);
    CHECK(el_index_read(found).relative_offset == -2 && el_index_read(found).position == 9);
    close(fd);
}

static void test_what_cannot_be_read_has_no_entries(void) {
    CHECK(find(-1, offsets, 10) == -1);
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && find(fd, offsets, 10) == -1);
    close(fd);
}

int main(void) {
    test_every_key_finds_the_last_entry_that_is_not_behind_it(offsets);
    test_every_key_finds_the_last_entry_that_is_not_behind_it(times);
    test_numbers_have_signs();
    test_what_cannot_be_read_has_no_entries();
    return DONE();
}
