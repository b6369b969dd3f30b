/* What the functions in this directory return. */

#ifndef EVENTLOG_STORE_STATUS_H
#define EVENTLOG_STORE_STATUS_H

enum el_status {
    EL_DONE = 0,
    EL_SEGMENT_CHANGED = -1, /* another process rolled, or is rolling: attach to the new segment */
    EL_ROLL_NEEDED = -2,
    EL_LOCK_TIMEOUT = -3,
    EL_POISONED = -4,
    EL_DISK_FULL = -5,
    EL_IO_ERROR = -6,
    EL_UNIT_TOO_LARGE = -7, /* more bytes than one segment may hold */
    EL_INTERRUPTED = -8,    /* a signal arrived: let Python run its handler */
    EL_TIMED_OUT = -9,
    EL_NO_MEMORY = -10,
    EL_RECORD_TOO_LARGE = -11,
    EL_STALE_MEMBER = -12, /* another member owns the partition */
    EL_SETTINGS_CHANGED = -13, /* the topic was altered: load its settings, and encode the records again */
    EL_HELD_ALREADY = -14,     /* by this very thread: a signal handler came in again */
    EL_OFFSETS_USED_UP = -15,  /* the unit would need offsets beyond the largest one */
    EL_FILE_TOO_LARGE = -16,   /* for this process alone: RLIMIT_FSIZE */
    EL_CLOSED = -17,           /* this process is letting go of what would be written to */
    EL_CONFLICT = -18,         /* the log does not end where the caller expected it to */
    EL_PRODUCERS_BEHIND = -19, /* the table of the partition's producers has to be opened, grown, or built from the log */
    EL_DUPLICATE = -20,        /* the batch was appended before */
    EL_DUPLICATE_SEQUENCE = -21, /* probably so, but where is no longer known */
    EL_OUT_OF_ORDER = -22,     /* the sequence number is not the producer's next one */
    EL_PRODUCER_FENCED = -23,  /* a newer instance of the producer has taken over: the epoch is over */
    EL_IN_TRANSACTION = -24,   /* a batch outside of the producer's open transaction */
    EL_COORDINATOR_FENCED = -25, /* a marker of a transaction coordinator that another one has replaced */
    EL_NO_TRANSACTION = -26,   /* the producer has none open here */
    EL_UNIT_OF_PRODUCERS = -27, /* a batch with a producer's id is to be appended alone */
    EL_ABORTED_INDEX_NEEDED = -28, /* the file of the active segment has to be opened */
    EL_NOT_ACCEPTED = -29, /* batches that may not stand in the log: their bytes say why */
    EL_NOT_ACQUIRED = -30, /* the worker does not have the record any more: its lock has ended, or it was settled */
};

#endif
