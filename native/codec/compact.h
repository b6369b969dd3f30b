/* Log compaction: the latest record of each key stays. Bytes in, bytes out; the caller reads and writes the files.
 *
 * Source of the rules: Kafka's LogCleaner, and KIP-534 for tombstones. Offsets stay what they are: a batch that loses records keeps its
 * base offset and its last offset. A tombstone, a record whose value is null, stays until its batch's delete horizon: the first
 * pass that meets it stores the horizon in the base timestamp and says so in the attributes; a later pass removes it.
 * Unlike in Kafka, records without a key stay, since nothing supersedes them. Records of aborted transactions supersede nothing, and are
 * removed; control batches stay. */

#ifndef EVENTLOG_CODEC_COMPACT_H
#define EVENTLOG_CODEC_COMPACT_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "transactions.h"

#define EL_ATTRIBUTE_DELETE_HORIZON 0x40
#define EL_ATTRIBUTES_KNOWN 0x7f

/* A batch that is rewritten grows by less than this: the deltas of its timestamps may take ten bytes each. */
#define EL_COMPACT_GROWTH 3

/* A key, by its hash, and the latest offset at which it was met, plus one; 0: the entry is free. */
typedef struct el_key_offset {
    uint64_t hash[2];
    int64_t offset_plus_one;
} el_key_offset;

/* The latest offset of each key: open addressing, in zeroed memory that the caller owns. */
typedef struct el_offset_map {
    el_key_offset *entries;
    uint64_t capacity; /* at least 8 */
    uint64_t used;
    uint64_t secret[2]; /* must not be known to whoever chooses the keys */
    int64_t first_offset; /* records before it were compacted earlier, and are not noted */
    int64_t end_offset;   /* every record from first_offset up to, not including, this one was noted */
    int64_t next_offset;  /* where the last batch ended: no batch may begin before */
    el_aborted_list aborted; /* transactions whose records are not noted, and are removed */
} el_offset_map;

/* Why el_offset_map_note_batches and el_compact_batches stop, besides an el_codec_status. */
#define EL_COMPACT_COMPRESSED 100 /* the batch at `consumed` is compressed: decompress it, and call the function for one section */
#define EL_COMPACT_FULL 101       /* the map is full: the log can be compacted by what was noted, up to end_offset */

/* Note the records of one batch, whose uncompressed section is at `records`. EL_CODEC_OK, EL_COMPACT_FULL, or EL_CODEC_BAD_OFFSET if the
 * batch begins before the last one ended. */
int el_offset_map_note(el_offset_map *map, const el_batch *batch, const uint8_t *records, size_t length);

/* Note the records of several batches, each of which is checked first. *consumed is how many bytes of whole batches were noted. */
int el_offset_map_note_batches(el_offset_map *map, const uint8_t *data, size_t length, size_t *consumed);

/* One pass. Times are milliseconds since the epoch; the counts are added to. */
typedef struct el_compaction {
    const el_offset_map *map;
    int64_t now;
    int64_t new_horizon; /* for tombstones that are met for the first time */
    int64_t earliest_horizon; /* lowered to that of the tombstones that stay */
    int64_t next_offset; /* where the last batch ended: no batch may begin before */
    int64_t records_in;
    int64_t records_out;
    int64_t batches_changed;
    const int64_t *last_offsets; /* of the producers' last batches, which stay even if they become empty; sorted */
    size_t last_offset_count;
} el_compaction;

/* Compact one batch, whose uncompressed section is at `records`; `out` has room for EL_COMPACT_GROWTH times its bytes. *kept is what the
 * batch becomes: its size_bytes is that of a batch with the section at `out`, and 0 if nothing stays. Returns 1 if anything changes, 0 if
 * the batch stays as it is, -1 if it begins before the last one ended. */
int el_compact_records(el_compaction *compaction, const el_batch *batch, const uint8_t *records, size_t length, uint8_t *out,
                       el_batch *kept);

/* The same for several batches, each of which is checked first; afterwards whole batches are at `out`. */
int el_compact_batches(el_compaction *compaction, const uint8_t *data, size_t length, uint8_t *out, size_t *consumed,
                       size_t *produced);

#endif
