/* murmur2, by which Kafka's clients choose the partition of a key.
 *
 * Source: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2 (32 bits, its own seed) and
 * org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey. */

#ifndef EVENTLOG_CODEC_MURMUR2_H
#define EVENTLOG_CODEC_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

uint32_t el_murmur2(const uint8_t *data, size_t length);

/* The hash without its sign bit, modulo the number of partitions, which is at least 1. */
int32_t el_partition_for_key(const char *key, size_t length, int32_t partitions);

#endif
