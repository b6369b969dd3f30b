/* What Python sees of the C code; cffi checks it against the real headers when it compiles. */

/* codec/crc32c.h, codec/batch.h */
#define EL_BATCH_HEADER_BYTES 61
#define EL_WORKING_DIRECTORY ...
#define EL_ATTRIBUTE_COMPRESSION ...
#define EL_ATTRIBUTE_LOG_APPEND_TIME ...
#define EL_ATTRIBUTE_TRANSACTIONAL ...
#define EL_ATTRIBUTE_CONTROL ...
#define EL_CODEC_OK ...
#define EL_CODEC_INCOMPLETE ...
#define EL_CODEC_ZEROS ...
#define EL_CODEC_BAD_OFFSET ...
#define EL_CODEC_BAD_COUNT ...
#define EL_CODEC_BAD_RECORD ...
#define EL_CODEC_BAD_CHECKSUM ...
#define EL_CODEC_BAD_LENGTH ...
#define EL_CODEC_BAD_MAGIC ...
#define EL_BATCH_LENGTH_END ...
uint32_t el_crc32c(uint32_t crc, const char *data, size_t length);
const char *el_codec_status_text(int status);
typedef struct el_batch {
    int64_t base_offset; int64_t base_timestamp; int64_t max_timestamp; int64_t producer_id; int64_t size_bytes;
    uint32_t crc; int32_t leader_epoch; int32_t last_offset_delta; int32_t base_sequence; int32_t record_count;
    int16_t attributes; int16_t producer_epoch;
    ...;
} el_batch;
int el_batch_parse(const uint8_t *data, size_t available, el_batch *batch);
int el_batch_verify_records(const uint8_t *records, size_t length, const el_batch *batch);
int el_batch_verify(const uint8_t *data, const el_batch *batch);
void el_batch_seal(uint8_t *data, el_batch *batch);
typedef struct el_scan {
    int64_t valid_bytes; int64_t next_offset; int64_t batch_count; int64_t record_count; int64_t max_timestamp;
    int64_t max_timestamp_offset; int64_t needed_bytes; int32_t last_leader_epoch; int32_t status;
    ...;
} el_scan;
void el_scan_begin(el_scan *scan, int64_t next_offset);
int el_scan_batches(const uint8_t *data, size_t length, el_scan *scan);
int64_t el_find_batch(const uint8_t *data, size_t length, int64_t next_offset);

/* codec/transactions.h */
#define EL_TRANSACTION_ABORT ...
#define EL_TRANSACTION_DATA ...
typedef struct el_transaction_step { int64_t producer_id; int64_t offset; int64_t kind; } el_transaction_step;
int el_transaction_steps(const uint8_t *data, size_t length, el_transaction_step *steps, size_t capacity, size_t *count,
                         size_t *consumed);
typedef struct el_aborted { int64_t producer_id; int64_t first_offset; int64_t marker_offset; } el_aborted;
typedef struct el_aborted_list { const el_aborted *entries; size_t count; } el_aborted_list;

/* codec/compact.h */
#define EL_ATTRIBUTE_DELETE_HORIZON ...
#define EL_COMPACT_GROWTH ...
#define EL_COMPACT_COMPRESSED ...
#define EL_COMPACT_FULL ...
typedef struct el_key_offset { ...; } el_key_offset;
typedef struct el_offset_map {
    el_key_offset *entries; uint64_t capacity; uint64_t secret[2]; int64_t first_offset; int64_t end_offset;
    int64_t next_offset; el_aborted_list aborted; ...;
} el_offset_map;
int el_offset_map_note(el_offset_map *map, const el_batch *batch, const uint8_t *records, size_t length);
int el_offset_map_note_batches(el_offset_map *map, const uint8_t *data, size_t length, size_t *consumed);
typedef struct el_compaction {
    const el_offset_map *map; int64_t now; int64_t new_horizon; int64_t earliest_horizon; int64_t next_offset; int64_t records_in;
    int64_t records_out; int64_t batches_changed; const int64_t *last_offsets; size_t last_offset_count; ...;
} el_compaction;
int el_compact_records(el_compaction *compaction, const el_batch *batch, const uint8_t *records, size_t length, uint8_t *out,
                       el_batch *kept);
int el_compact_batches(el_compaction *compaction, const uint8_t *data, size_t length, uint8_t *out, size_t *consumed,
                       size_t *produced);

/* codec/produced.h */
#define EL_PRODUCED_NO_KEY ...
#define EL_PRODUCED_BAD_TIMESTAMP ...
#define EL_PRODUCED_BAD_RECORD ...
#define EL_PRODUCED_BAD_DELTA ...
#define EL_PRODUCED_TOO_LARGE ...
#define EL_PRODUCED_EMPTY ...
#define EL_PRODUCED_BAD_COUNT ...
#define EL_PRODUCED_BAD_ATTRIBUTES ...
#define EL_PRODUCED_CONTROL ...
#define EL_PRODUCED_TRANSACTIONAL ...
#define EL_PRODUCED_BAD_TIMESTAMP_TYPE ...
#define EL_PRODUCED_BAD_PRODUCER ...
#define EL_PRODUCED_EXCESS ...
#define EL_PRODUCED_OTHER_CODEC ...
typedef struct el_produced_rules {
    int64_t batch_bytes_max; int16_t needs_keys; int16_t has_append_time; int16_t codec;
} el_produced_rules;
typedef struct el_produced {
    int64_t append_time_ms; int64_t position; int64_t record_count; int32_t record_number; el_batch batch;
} el_produced;
int el_produced_accept(uint8_t *batches, size_t length, const el_produced_rules *rules, el_produced *produced);
int el_produced_accept_records(uint8_t *batches, const uint8_t *records, size_t length, const el_produced_rules *rules,
                               el_produced *produced);
size_t el_produced_list_keyless(const uint8_t *records, size_t length, int32_t *numbers, size_t capacity);

/* codec/produce_request.h */
#define EL_PRODUCE_ANSWER_BYTES ...
typedef struct el_produce_request {
    int32_t correlation_id; int32_t partition; int32_t topic_at; int32_t topic_length; int32_t batch_at; int32_t batch_length;
    int16_t version; int16_t acks; int16_t has_topic_id; int16_t is_transactional;
    int32_t transactional_id_at; int32_t transactional_id_length; int64_t producer_id; int16_t producer_epoch;
} el_produce_request;
int el_produce_request_read(const uint8_t *frame, size_t length, el_produce_request *request);
size_t el_produce_answer_write(const el_produce_request *request, const uint8_t *topic, int64_t base_offset, int64_t append_time_ms,
                               int64_t log_start_offset, uint8_t *out);

/* codec/murmur2.h */
int32_t el_partition_for_key(const char *key, size_t length, int32_t partitions);

/* store/status.h */
#define EL_DONE ...
#define EL_NOT_ACCEPTED ...
#define EL_SEGMENT_CHANGED ...
#define EL_ROLL_NEEDED ...
#define EL_LOCK_TIMEOUT ...
#define EL_POISONED ...
#define EL_DISK_FULL ...
#define EL_IO_ERROR ...
#define EL_UNIT_TOO_LARGE ...
#define EL_OFFSETS_USED_UP ...
#define EL_FILE_TOO_LARGE ...
#define EL_INTERRUPTED ...
#define EL_TIMED_OUT ...
#define EL_NO_MEMORY ...
#define EL_RECORD_TOO_LARGE ...
#define EL_SETTINGS_CHANGED ...
#define EL_HELD_ALREADY ...
#define EL_STALE_MEMBER ...
#define EL_CLOSED ...
#define EL_CONFLICT ...
#define EL_PRODUCERS_BEHIND ...
#define EL_DUPLICATE_SEQUENCE ...
#define EL_OUT_OF_ORDER ...
#define EL_PRODUCER_FENCED ...
#define EL_IN_TRANSACTION ...
#define EL_COORDINATOR_FENCED ...
#define EL_NO_TRANSACTION ...
#define EL_UNIT_OF_PRODUCERS ...
#define EL_ABORTED_INDEX_NEEDED ...

/* store/signals.h */
#define EL_SIGNALS_BYTES ...
typedef struct el_signals { ...; } el_signals;
typedef struct el_awaited { int64_t known; ...; } el_awaited;
typedef struct el_flag { ...; } el_flag;
void el_flag_raise(el_flag *flag, el_signals *signals);
int64_t el_flag_raised(const el_flag *flag);
void el_flag_await(el_flag *flag, int64_t known, el_awaited *awaited);
el_signals *el_signals_map(int fd);
void el_signals_unmap(el_signals *signals);
#define EL_AWAIT_MS_MAX ...
uint32_t el_signals_bell(el_signals *signals);
int64_t el_signals_catalog_version(const el_signals *signals);
void el_signals_catalog_changed(el_signals *signals, int64_t number);
int64_t el_signals_catalog_announced(const el_signals *signals);
void el_signals_await_catalog(el_signals *signals, int64_t known, el_awaited *awaited);
int el_first_ready(const el_awaited *awaited, int count, int start);
int el_await_any(el_signals *signals, uint32_t bell, const el_awaited *awaited, int count, int64_t timeout_ms);
typedef struct el_sleeper { const el_awaited *awaited; int32_t count; } el_sleeper;
uint32_t el_bell_read(const el_signals *signals, uint32_t bell);
int32_t el_sleepers_due(const el_sleeper *sleepers, int32_t count, uint32_t bell, int32_t *due, int32_t due_max);
void el_bell_await(el_signals *signals, uint32_t bell, uint32_t seen, int64_t timeout_ms);
void el_bell_ring(el_signals *signals, uint32_t bell);
void el_bell_forward(el_signals *signals, uint32_t bell, int event, const el_flag *is_over);

/* store/head.h */
#define EL_HEAD_BYTES 4096
typedef struct el_tail {
    int64_t end_offset; int64_t segment_base; int64_t position; int64_t index_bytes; int64_t time_index_bytes;
    int64_t bytes_since_index; int64_t max_timestamp; int64_t max_timestamp_offset; int64_t indexed_timestamp;
    int64_t first_timestamp; int64_t first_unstable; int64_t producers_offset; int64_t marker_end; int64_t aborted_index_bytes;
    int64_t aborts;
    ...;
} el_tail;
typedef struct el_limits {
    int64_t segment_bytes; int64_t segment_ms; int64_t index_interval_bytes; int32_t leader_epoch;
    ...;
} el_limits;
typedef struct el_checkpoint { int64_t segment_base; int64_t position; int64_t offset; ...; } el_checkpoint;
typedef struct el_head { ...; } el_head;
el_head *el_head_map(int fd);
el_head *el_head_map_to_read(int fd);
void el_head_unmap(el_head *head);
int el_head_is_trusted(const el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode);
int el_head_former_checkpoint(const el_head *head, uint64_t device, uint64_t inode, el_checkpoint *checkpoint);
void el_head_initialise(el_head *head, const uint8_t boot_id[16], uint64_t device, uint64_t inode, const el_tail *tail,
                        const el_limits *limits, int64_t start_offset, int64_t allocated, int may_have_gaps,
                        int keep_checkpoint);
int64_t el_head_end_offset(const el_head *head);
int64_t el_head_durable_offset(const el_head *head);
int64_t el_head_start_offset(const el_head *head);
int64_t el_head_stable_offset(const el_head *head);
int64_t el_head_aborts(const el_head *head);
int64_t el_head_marker_end(const el_head *head);
int64_t el_head_producers_offset(const el_head *head);
uint32_t el_head_segments_version(const el_head *head);
uint32_t el_head_poison(const el_head *head);
int el_head_may_have_gaps(const el_head *head);
uint32_t el_head_settings_version(const el_head *head);
void el_head_seal(el_head *head);
int el_head_is_sealed(const el_head *head);
int el_head_is_locked(const el_head *head);
void el_head_unseal(el_head *head);
int el_head_peek(const el_head *head, el_tail *tail);
void el_head_advance_start(el_head *head, el_signals *signals, int64_t offset);
void el_head_segments_changed(el_head *head);
void el_head_active_segment(const el_head *head, int64_t *segment_base, int64_t *position);
int el_head_change_settings(el_head *head, el_signals *signals, const el_limits *limits, int may_have_gaps, int64_t number,
                            int64_t timeout_ms, int32_t *holder);
int64_t el_head_settings_number(const el_head *head);
void el_head_allow_gaps(el_head *head);
int el_head_is_sealing(const el_head *head);
void el_head_follow(el_head *head, const el_head *followed, el_signals *signals);
int el_head_lock_flush(el_head *head, int64_t timeout_ms, int32_t *holder);
void el_head_release_flush(el_head *head, int32_t *holder);
int el_head_snapshot(el_head *head, el_signals *signals, int64_t timeout_ms, el_tail *tail, int32_t *holder);
void el_head_set_poison(el_head *head, int error_number);
void el_head_set_deleted(el_head *head, int error_number);
void el_head_wake(el_head *head, el_signals *signals);
void el_head_await(el_head *head, int64_t offset, int durable, el_awaited *awaited);

/* store/gate.h */
#define EL_GATE_BYTES ...
typedef struct el_gate { ...; } el_gate;
el_gate *el_gate_map(int fd);
void el_gate_unmap(el_gate *gate);
void el_gate_initialise(el_gate *gate);
int el_gate_is_ready(const el_gate *gate);
int el_gate_enter(el_gate *gate, int64_t timeout_ms, int32_t *holder);
void el_gate_release(el_gate *gate, int32_t *holder);

/* store/file_system.h */
int el_make_room_to_map(int fd, int64_t length);

/* store/file.h */
int el_file_open(int directory, const char *path, int flags, unsigned mode, int *file);
int el_file_take(int *file);
void el_file_close(int *file);
void el_files_close(int *files, size_t count);
void el_file_unlock(int *file);

/* store/acks.h */
#define EL_SEATS ...
#define EL_SLOTS_MAX ...
#define EL_SLOT_BYTES ...
#define EL_SLOTS_START ...
typedef struct el_group { ...; } el_group;
el_group *el_group_map(int fd);
el_group *el_group_map_to_read(int fd);
void el_group_unmap(el_group *group);
int el_group_is_trusted(const el_group *group, const uint8_t boot_id[16], uint64_t device, uint64_t inode,
                        int64_t incarnation, size_t length);
void el_group_seal(el_group *group, size_t length);
void el_group_unseal(el_group *group);
void el_group_initialise(el_group *group, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                         int64_t generation);
void el_group_set_ready(el_group *group);
void el_group_free_slots(el_group *group, uint32_t slots);
void el_slot_initialise(el_group *group, uint32_t slot, int64_t committed, int64_t committed_ms, int64_t decided_by);
int64_t el_group_generation(const el_group *group);
int64_t el_group_changes(const el_group *group);
void el_group_announce(el_group *group, el_signals *signals, int64_t generation);
void el_group_refuse_commits(el_group *group, el_signals *signals, int is_refusing);
void el_group_set_deleted(el_group *group, el_signals *signals, uint32_t slots);
int el_group_is_deleted(const el_group *group);
void el_group_await(el_group *group, int64_t known_changes, el_awaited *awaited);
void el_group_sit(el_group *group, uint32_t seat, int64_t member_epoch);
void el_group_seen(el_group *group, uint32_t seat, int64_t member_epoch);
int64_t el_group_unseen_ms(const el_group *group, uint32_t seat, int64_t member_epoch);
int el_group_begin_persist(el_group *group, int64_t interval_ms);
int64_t el_slot_committed(const el_group *group, uint32_t slot);
int64_t el_slot_committed_ms(const el_group *group, uint32_t slot);
int64_t el_slot_owner(const el_group *group, uint32_t slot);
int32_t el_slot_leader_epoch(const el_group *group, uint32_t slot);
void el_slots_copy(const el_group *group, uint32_t slots, int64_t *committed, int64_t *committed_ms, int64_t *owners,
                   int64_t *decided_by);
void el_slot_await(el_group *group, uint32_t slot, int64_t offset, el_awaited *awaited);
int el_slots_dirty(const el_group *group, uint32_t slots, uint32_t *next, uint32_t *found, int capacity);
typedef struct el_ack {
    el_group *group; el_signals *signals; int64_t member_epoch; int64_t timeout_ms; uint32_t slot; int32_t process_id;
    int32_t holder; const el_flag *closed;
    ...;
} el_ack;
int el_ack_commit(el_ack *ack, int64_t offset, int may_wait);
int el_ack_commit_with_epoch(el_ack *ack, int64_t offset, int32_t leader_epoch);
int el_ack_commit_all(el_ack **acks, const int64_t *offsets, int count, int *failed);
int el_ack_take(el_ack *ack, int64_t former_owner);
int el_ack_release(el_ack *ack);
int el_ack_reset(el_ack *ack, int64_t offset, int64_t number);
int el_ack_set_persisted(el_ack *ack, int64_t offset, int64_t decided_by);
int el_ack_settle(el_ack *ack);

/* store/index.h */
int el_index_floor(int fd, size_t entry_bytes, size_t key_bytes, int64_t key, int64_t keys_end, uint8_t *entry);
void el_index_rebuild(const uint8_t *batches, size_t length, int64_t interval_bytes, el_tail *tail, uint8_t *index,
                      uint8_t *time_index);

/* store/producers.h */
#define EL_PRODUCERS_CAPACITY_MIN ...
#define EL_PRODUCERS_CAPACITY_MAX ...
#define EL_PRODUCER_BATCHES ...
#define EL_CODEC_NO_ROOM ...
typedef struct el_producer_batch { int64_t last_offset; int64_t timestamp; int32_t last_sequence; int32_t offset_delta; } el_producer_batch;
typedef struct el_producer {
    int64_t id; int64_t transaction_start; int64_t last_ms; int32_t coordinator_epoch; int16_t epoch; uint16_t batch_count;
    el_producer_batch batches[...];
} el_producer;
typedef struct el_producers { uint32_t capacity; uint32_t count; uint32_t open_transactions; int64_t end_offset; ...; } el_producers;
typedef struct el_sequencing { int32_t is_duplicate; int32_t expected_sequence; int16_t epoch; } el_sequencing;
typedef struct el_aborted_entry {
    int64_t producer_id; int64_t first_offset; int64_t last_offset; int64_t stable_offset;
} el_aborted_entry;
size_t el_producers_bytes(uint32_t capacity);
void el_producers_begin(el_producers *table, uint32_t capacity, int64_t end_offset);
int el_producers_has_room(const el_producers *table);
int64_t el_producers_first_open(const el_producers *table, uint32_t except_slot);
int el_producers_replay(el_producers *table, const uint8_t *data, size_t length, int64_t written_ms, el_aborted_entry *aborted,
                        size_t capacity, size_t *count, size_t *consumed);
void el_producers_copy(el_producers *to, const el_producers *from, int64_t expired_before);
void el_producers_put(el_producers *table, const el_producer *producer);
const el_producer *el_producers_slot(const el_producers *table, uint32_t slot);

/* store/appender.h */
typedef struct el_encoding {
    uint32_t settings_version; int16_t attributes; int16_t compresses; int16_t needs_keys; int64_t batch_bytes_max;
} el_encoding;
typedef struct el_appender {
    int64_t segment_base; int log_fd; int aborted_index_fd; int64_t producer_expiry_ms; el_encoding encoding; int is_retired; int64_t unsure_end; int error_number; int32_t holder; ...;
} el_appender;
el_appender *el_appender_new(el_head *head, el_signals *signals, int64_t lock_timeout_ms, int flush_always);
void el_appender_free(el_appender *appender);
int el_appender_take(el_appender *appender, int64_t segment_base, int *files);
int64_t el_append_produced(el_appender *appender, uint8_t *batches, size_t length, uint32_t settings_version, int may_wait,
                           el_sequencing *sequencing);
int64_t el_append_marker(el_appender *appender, int64_t producer_id, int16_t epoch, int32_t coordinator_epoch, int is_commit);
int64_t el_append_produced_at_once(el_appender *appender, const uint8_t *batches, size_t length, const el_produced_rules *rules,
                                          uint32_t settings_version, el_produced *produced, el_sequencing *sequencing);
int el_appender_use_producers(el_appender *appender, int fd);
int el_producers_install(el_appender *appender, const el_producers *built);
int el_producers_read(el_appender *appender, el_producers *copy, size_t bytes_max, size_t *bytes);
int el_appender_take_aborted_index(el_appender *appender, int64_t segment_base, int *file);
int64_t el_appender_position(const el_appender *appender);
int el_appender_retire(el_appender *appender);
void el_appender_release(el_appender *appender, int64_t timeout_ms);
int el_appender_rest(el_appender *appender, int durable);
int el_flush(el_appender *appender, int64_t offset);
int el_roll_begin(el_appender *appender, el_tail *sealed);
int el_roll_finish(el_appender *appender, int64_t segment_base);
int el_flush_locked(el_appender *appender);
int el_trim(el_appender *appender);

/* store/clock.h */
int64_t el_now_ms(void);
void el_clock_stop(int64_t now_ms, int64_t lease_ms);

/* codec/search.h */
#define EL_SEARCH_KEY ...
#define EL_SEARCH_VALUE ...
#define EL_SEARCH_HEADERS ...
typedef struct el_needle { const uint8_t *bytes; ...; } el_needle;
void el_needle_prepare(el_needle *needle, const uint8_t *bytes, const uint8_t *masks, size_t length);

/* store/produce_loop.h */
#define EL_PRODUCE_SLOTS ...
typedef struct el_produce_slot {
    el_appender *appender; const uint8_t *topic; int32_t topic_length; int32_t partition; int32_t has_topic_id; uint32_t settings_version;
    el_produced_rules rules;
    ...;
} el_produce_slot;
typedef struct el_produce_loop {
    el_produce_slot slots[...]; int32_t appended[...]; int32_t appended_count; int32_t request_count; size_t consumed; size_t answer_bytes;
} el_produce_loop;
int32_t el_produce_slot_of(const uint8_t *topic, size_t length, int32_t partition);
void el_produce_answer_all(el_produce_loop *loop, uint8_t *data, size_t length, size_t request_bytes_max, uint8_t *answers,
                           size_t capacity);

/* store/reader.h */
#define EL_READ_READY ...
#define EL_READ_COMPRESSED ...
#define EL_READ_END_OF_SEGMENT ...
#define EL_READ_CORRUPT ...
#define EL_READ_IO_ERROR ...
#define EL_READ_NO_MEMORY ...
#define EL_READ_BUSY ...
typedef struct el_segment { int64_t base_offset; int64_t end_offset; uint32_t list_version; int fd; int index_fd; ...; } el_segment;
typedef struct el_reader {
    el_segment segment;
    int64_t next_offset; int64_t following_base; el_aborted_list aborted; int allow_gaps; int is_busy; el_batch batch; int codec_status; int error_number; int64_t error_position;
    ...;
} el_reader;
int el_segment_holds(const el_segment *segment, int64_t offset, uint32_t list_version);
void el_segment_close(el_segment *segment);
void el_segment_close_index(el_segment *segment);
el_reader *el_reader_new(size_t block_bytes);
void el_reader_free(el_reader *reader);
void el_reader_seek(el_reader *reader, int64_t position, int64_t base_offset, int64_t next_offset);
int el_reader_find(el_reader *reader, int64_t offset);
int el_reader_load(el_reader *reader, int64_t end_offset);
const uint8_t *el_reader_compressed(const el_reader *reader, size_t *length);
int el_reader_set_records(el_reader *reader, const uint8_t *records, size_t length);
void el_reader_decode(el_reader *reader, const el_batch *batch, const uint8_t *records, size_t length);
int64_t el_reader_batch_position(const el_reader *reader);

/* store/slice.h */
typedef struct el_slice {
    int64_t position; int64_t length; int64_t first_offset; int64_t next_offset; int32_t index_lies;
} el_slice;
int el_slice_find(const el_segment *segment, int64_t offset, int64_t stop_offset, int64_t bytes_max, int at_least_one,
                  int allow_gaps, el_slice *slice);
int el_slice_read_at_once(const el_segment *segment, int64_t position, int64_t offset, int64_t stop_offset, uint8_t *out, size_t capacity,
                          el_slice *slice);

/* store/columns.h */
typedef struct el_bytes_column {
    int64_t data_bytes; int64_t null_count; uint8_t *data; int64_t *ends; uint8_t *validity;
} el_bytes_column;
typedef struct el_header_columns {
    int64_t count; int64_t *ends; el_bytes_column names; el_bytes_column values;
} el_header_columns;
typedef struct el_columns {
    int64_t since; int64_t until; int32_t has_headers; int64_t count; int64_t passed; int64_t *offsets; int64_t *timestamps;
    el_bytes_column keys; el_bytes_column values; el_header_columns headers;
} el_columns;
void el_columns_measure(const el_reader *reader, int64_t max_records, int64_t stop_offset, el_columns *columns);
int el_columns_fill(el_reader *reader, int64_t stop_offset, el_columns *columns);

/* python/objects.h */
#define EL_PACK_DONE ...
#define EL_PACK_BAD_VALUE ...
#define EL_PACK_BAD_KEY ...
#define EL_PACK_BAD_TIMESTAMP ...
#define EL_PACK_BAD_HEADERS ...
#define EL_PACK_RECORD_TOO_LARGE ...
#define EL_PACK_NO_MEMORY ...
#define EL_PACK_CHANGED ...
#define EL_PACK_NO_KEY ...
typedef struct el_pack {
    uint8_t *data; size_t length; int64_t count; int64_t failed_index; int64_t failed_bytes; ...;
} el_pack;
void el_pack_free(el_pack *pack);
typedef struct el_placed { int64_t first_offset; int32_t is_stamped; } el_placed;
int64_t el_append_pack(el_appender *appender, const el_pack *pack, uint32_t settings_version, int64_t *end_offset, el_placed *placed);
#define EL_TAKEN_MALFORMED ...
#define EL_TAKEN_NO_MEMORY ...
#define EL_TAKEN_BUSY ...
typedef struct el_query { el_needle needle; unsigned fields; int is_inverted; } el_query;

/* store/share.h */
#define EL_NOT_ACQUIRED ...
#define EL_SHARE_OWNER ...
#define EL_SHARE_WINDOW_MAX ...
#define EL_DELIVERIES_SHIFT ...
#define EL_DELIVERIES_MAX ...
#define EL_SHARE_STATES ...
#define EL_SHARE_EMPTY ...
#define EL_SHARE_AVAILABLE ...
#define EL_SHARE_WAITING ...
#define EL_SHARE_RESERVED ...
#define EL_SHARE_ACQUIRED ...
#define EL_SHARE_ACKNOWLEDGED ...
#define EL_SHARE_ARCHIVED ...
typedef struct el_share_page { ...; } el_share_page;
size_t el_share_bytes(uint32_t words_count);
el_share_page *el_share_map(int fd);
void el_share_unmap(el_share_page *page);
int el_share_is_trusted(const el_share_page *page, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                        size_t length);
void el_share_seal(el_share_page *page, size_t length);
void el_share_unseal(el_share_page *page);
void el_share_initialise(el_share_page *page, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                         uint32_t words_count);
void el_share_free(el_share_page *page);
typedef struct el_share {
    el_share_page *page; el_signals *signals; el_ack *ack; int64_t member_epoch; int64_t timeout_ms; int64_t start; uint32_t seat;
    int32_t process_id; int64_t lock_ms; int64_t locks_max; int32_t delivery_limit; int32_t holder;
    ...;
} el_share;
typedef struct el_claim { int32_t capacity; int32_t count; int64_t *offsets; uint64_t *words; } el_claim;
int el_share_claim(el_share *share, int64_t end, int ahead, el_claim *claim);
void el_share_end(el_share *share);
int el_share_start(el_share *share, int64_t offset, uint64_t *word);
int el_share_accept(el_share *share, const int64_t *offsets, const uint64_t *words, int32_t count, int32_t *refused);
int el_share_accept_one(el_share *share, int64_t offset, uint64_t word);
int el_share_release(el_share *share, int64_t offset, uint64_t word, int64_t delay_ms, int counted, int *is_archived);
int el_share_reject(el_share *share, int64_t offset, uint64_t word);
int el_share_renew(el_share *share, int64_t offset, uint64_t *word, int64_t lock_ms);
int el_share_reap(el_share *share, uint32_t seat, int64_t member_epoch, int counted, int64_t *archived);
int32_t el_share_seated(const el_share_page *page, uint32_t *seats, int64_t *member_epochs);
int64_t el_share_floor(const el_share_page *page);
int64_t el_share_next(const el_share_page *page);
int64_t el_share_changes(const el_share_page *page);
void el_share_counters(const el_share_page *page, int64_t counters[4]);
void el_share_count(const el_share_page *page, int64_t *counts);
void el_share_parse(uint64_t word, int32_t *state, int32_t *deliveries, uint32_t *seat);
int64_t el_share_due_ms(const el_share_page *page);
void el_share_await(el_share_page *page, int64_t known_changes, el_awaited *awaited);
