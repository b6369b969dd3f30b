/* murmur2: the hashes that Kafka's own tests expect, at every alignment, and the partition made of them. */

#include <string.h>

#include "../codec/murmur2.h"
#include "check.h"

/* Source: Apache Kafka, org.apache.kafka.common.utils.UtilsTest.testMurmur2. */
static const struct {
    const char *key;
    int32_t hash;
} known[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

/* Each key stands in a block of exactly its size, so that the address sanitizer sees a read beyond its end. */
static void test_the_hashes_of_kafka(void) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].key);
        for (size_t alignment = 0; alignment < 8; alignment++) {
            uint8_t *block = malloc(alignment + length);
            memcpy(block + alignment, known[i].key, length);
            CHECK(el_murmur2(block + alignment, length) == (uint32_t)known[i].hash);
            free(block);
        }
    }
}

/* Bytes are unsigned, and an empty key has a hash. Source: the same function, run on these keys. */
static void test_bytes_above_127_and_no_bytes(void) {
    CHECK(el_murmur2((const uint8_t *)"", 0) == UINT32_C(275646681));
    CHECK(el_murmur2((const uint8_t *)"\xff\xfe\xfd", 3) == UINT32_C(998637092));
    CHECK(el_murmur2((const uint8_t *)"\x80\x81\x82\x83\x84", 5) == UINT32_C(2629344857));
}

static void test_a_partition_is_the_hash_without_its_sign(void) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].key);
        int32_t positive = known[i].hash & INT32_MAX;
        CHECK(el_partition_for_key(known[i].key, length, 1) == 0);
        CHECK(el_partition_for_key(known[i].key, length, 12) == positive % 12);
        CHECK(el_partition_for_key(known[i].key, length, INT32_MAX) == positive % INT32_MAX);
    }
}

int main(void) {
    test_the_hashes_of_kafka();
    test_bytes_above_127_and_no_bytes();
    test_a_partition_is_the_hash_without_its_sign();
    return DONE();
}
