#define _GNU_SOURCE
#include "share.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../codec/assertions.h"
#include "../codec/crc32c.h"
#include "clock.h"
#include "fault.h"
#include "mutex.h"

#define STATE_BITS 3
#define DELIVERIES_BITS 8
#define SEAT_BITS 11
#define TIME_BITS 36
#define LAP_BITS 6
#define SEAT_SHIFT (EL_DELIVERIES_SHIFT + DELIVERIES_BITS)
#define TIME_SHIFT (SEAT_SHIFT + SEAT_BITS)
#define LAP_SHIFT (TIME_SHIFT + TIME_BITS)
#define NOT_DUE INT64_MAX
#define UNDECIDED INT64_C(-1) /* no slot has such a reset: the window has to be emptied before it is used */

_Static_assert(LAP_SHIFT + LAP_BITS == 64, "a word has 64 bits");
_Static_assert(EL_DELIVERIES_SHIFT == STATE_BITS && EL_DELIVERIES_MAX == (1 << DELIVERIES_BITS) - 1, "what Python takes out of a word");
_Static_assert(EL_SEATS <= 1 << SEAT_BITS, "a word has room for every seat");

/* --- words --------------------------------------------------------------------------------------------- */

static uint64_t bits_of(uint64_t word, int shift, int bits) {
    return word >> shift & ((UINT64_C(1) << bits) - 1);
}

static int state_of(uint64_t word) {
    return (int)bits_of(word, 0, STATE_BITS);
}

static int deliveries_of(uint64_t word) {
    return (int)bits_of(word, EL_DELIVERIES_SHIFT, DELIVERIES_BITS);
}

static uint32_t seat_of(uint64_t word) {
    return (uint32_t)bits_of(word, SEAT_SHIFT, SEAT_BITS);
}

static int is_claimed(uint64_t word) {
    return state_of(word) == EL_SHARE_RESERVED || state_of(word) == EL_SHARE_ACQUIRED;
}

static uint64_t lap_of(const el_share_page *page, int64_t offset) {
    return (uint64_t)offset / page->words_count & ((1 << LAP_BITS) - 1);
}

static int is_finished(const el_share_page *page, int64_t offset, uint64_t word) {
    return state_of(word) >= EL_SHARE_ACKNOWLEDGED && bits_of(word, LAP_SHIFT, LAP_BITS) == lap_of(page, offset);
}

static uint64_t make(const el_share_page *page, int64_t offset, int state, int deliveries, uint32_t seat, int64_t time_ms) {
    uint64_t time = (uint64_t)time_ms & ((UINT64_C(1) << TIME_BITS) - 1);
    return (uint64_t)state | (uint64_t)deliveries << EL_DELIVERIES_SHIFT | (uint64_t)seat << SEAT_SHIFT | time << TIME_SHIFT |
           lap_of(page, offset) << LAP_SHIFT;
}

/* Milliseconds until the time of the word, negative if it is over. The field goes round in two years: it is compared in half of that. */
static int64_t ms_until(uint64_t word, int64_t now_ms) {
    uint64_t left = (bits_of(word, TIME_SHIFT, TIME_BITS) - (uint64_t)now_ms) << (64 - TIME_BITS);
    return (int64_t)left >> (64 - TIME_BITS);
}

static _Atomic uint64_t *word_at(el_share_page *page, int64_t offset) {
    return &page->words[(uint64_t)offset & (page->words_count - 1)];
}

static uint64_t load_word(const el_share_page *page, int64_t offset) {
    return atomic_load(&page->words[(uint64_t)offset & (page->words_count - 1)]);
}

/* Replace a word, if it is still this one. */
static int replace(el_share_page *page, int64_t offset, uint64_t word, uint64_t next) {
    return atomic_compare_exchange_strong(word_at(page, offset), &word, next);
}

void el_share_parse(uint64_t word, int32_t *state, int32_t *deliveries, uint32_t *seat) {
    *state = state_of(word);
    *deliveries = deliveries_of(word);
    *seat = seat_of(word);
}

/* --- the page ------------------------------------------------------------------------------------------ */

size_t el_share_bytes(uint32_t words_count) {
    return EL_SHARE_WORDS_START + sizeof(uint64_t) * words_count;
}

el_share_page *el_share_map(int fd) {
    void *page = mmap(NULL, EL_SHARE_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void el_share_unmap(el_share_page *page) {
    munmap(page, EL_SHARE_BYTES_MAX);
}

static uint32_t seal_of(const el_share_page *page, size_t length) {
    uint32_t header = el_crc32c(EL_SHARE_LAYOUT, page, offsetof(el_share_page, seal));
    uint32_t seal = el_crc32c(header, page->seats, length - offsetof(el_share_page, seats));
    return seal != 0 ? seal : 1;
}

int el_share_is_trusted(const el_share_page *page, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                        size_t length) {
    uint32_t seal = atomic_load(&page->seal);
    return page->magic == EL_SHARE_MAGIC && page->layout == EL_SHARE_LAYOUT && page->device == device && page->inode == inode &&
           page->incarnation == incarnation && memcmp(page->boot_id, boot_id, 16) == 0 &&
           el_share_bytes(page->words_count) == length && atomic_load(&page->is_ready) == 1 &&
           (seal == 0 || seal == seal_of(page, length));
}

void el_share_seal(el_share_page *page, size_t length) {
    atomic_store(&page->seal, seal_of(page, length));
}

void el_share_unseal(el_share_page *page) {
    atomic_store(&page->seal, 0);
}

void el_share_initialise(el_share_page *page, const uint8_t boot_id[16], uint64_t device, uint64_t inode, int64_t incarnation,
                         uint32_t words_count) {
    EL_ASSERT(words_count > 0 && words_count <= EL_SHARE_WINDOW_MAX && (words_count & (words_count - 1)) == 0);
    memset(page, 0, el_share_bytes(words_count));
    EL_FAULT_POINT("share.cleared");
    page->magic = EL_SHARE_MAGIC;
    page->layout = EL_SHARE_LAYOUT;
    memcpy(page->boot_id, boot_id, 16);
    page->device = device;
    page->inode = inode;
    page->incarnation = incarnation;
    page->words_count = words_count;
    el_mutex_initialise(&page->lock.mutex, PTHREAD_MUTEX_NORMAL);
    atomic_store(&page->earliest_ms, NOT_DUE);
    atomic_store(&page->decided_by, UNDECIDED);
    EL_FAULT_POINT("share.initialised");
    atomic_store(&page->is_ready, 1);
    EL_FAULT_POINT("share.ready");
}

static void be_cautious(el_share_page *page) {
    atomic_store(&page->first_available, atomic_load(&page->floor));
    EL_FAULT_POINT("share.cautious");
    atomic_store(&page->earliest_ms, 0);
}

void el_share_free(el_share_page *page) {
    if (el_mutex_is_held(&page->lock.mutex)) {
        el_mutex_initialise(&page->lock.mutex, PTHREAD_MUTEX_NORMAL);
        be_cautious(page);
    }
}

int64_t el_share_floor(const el_share_page *page) {
    return atomic_load(&page->floor);
}

int64_t el_share_next(const el_share_page *page) {
    return atomic_load(&page->next);
}

int64_t el_share_changes(const el_share_page *page) {
    return atomic_load(&page->changes);
}

int64_t el_share_due_ms(const el_share_page *page) {
    int64_t earliest_ms = atomic_load(&page->earliest_ms);
    if (earliest_ms == NOT_DUE)
        return -1;
    int64_t due_ms = earliest_ms - el_lease_ms();
    return due_ms > 0 ? due_ms : 0;
}

void el_share_await(el_share_page *page, int64_t known_changes, el_awaited *awaited) {
    *awaited = (el_awaited){&page->changes, &page->watch, known_changes};
}

void el_share_counters(const el_share_page *page, int64_t counters[4]) {
    const _Atomic int64_t *all[4] = {&page->acknowledged, &page->archived, &page->released, &page->expired};
    for (int i = 0; i < 4; i++)
        counters[i] = atomic_load_explicit(all[i], memory_order_relaxed);
}

/* The end of the window, for a thread that may see it while it is being moved. */
static int64_t end_of_window(const el_share_page *page, int64_t floor) {
    int64_t next = atomic_load(&page->next);
    return next > floor + page->words_count ? floor : next;
}

void el_share_count(const el_share_page *page, int64_t *counts) {
    memset(counts, 0, EL_SHARE_STATES * sizeof *counts);
    int64_t floor = atomic_load(&page->floor), end = end_of_window(page, floor);
    for (int64_t offset = floor; offset < end; offset++) {
        int state = state_of(load_word(page, offset));
        if (state < EL_SHARE_STATES)
            counts[state]++;
    }
}

int32_t el_share_seated(const el_share_page *page, uint32_t *seats, int64_t *member_epochs) {
    int32_t count = 0;
    for (uint32_t seat = 0; seat < EL_SEATS; seat++) {
        int64_t epoch = atomic_load_explicit(&page->seats[seat], memory_order_acquire);
        if (epoch != 0) {
            seats[count] = seat;
            member_epochs[count++] = epoch;
        }
    }
    return count;
}

/* --- the mutex, the floor and the slot ----------------------------------------------------------------- */

static el_ack_slot *slot_of(const el_share *share) {
    return &share->ack->group->slots[share->ack->slot];
}

static void empty(el_share_page *page, int64_t floor, int64_t decided_by) {
    atomic_store(&page->decided_by, UNDECIDED);
    EL_FAULT_POINT("share.emptying");
    for (uint32_t index = 0; index < page->words_count; index++)
        atomic_store_explicit(&page->words[index], 0, memory_order_relaxed);
    EL_FAULT_POINT("share.emptied");
    atomic_store(&page->next, floor);
    EL_FAULT_POINT("share.next_moved");
    atomic_store(&page->floor, floor);
    EL_FAULT_POINT("share.floor_moved");
    atomic_store(&page->first_available, floor);
    atomic_store(&page->earliest_ms, NOT_DUE);
    EL_FAULT_POINT("share.hints_moved");
    atomic_store(&page->decided_by, decided_by);
    EL_FAULT_POINT("share.followed");
}

/* Begin anew where the group goes on, if it was reset since, or if the page is new. The number of the reset is read before the offset:
 * if there is another reset in between, the next thread finds a number that is not the slot's. */
static int follow_slot(el_share *share) {
    el_share_page *page = share->page;
    el_ack_slot *slot = slot_of(share);
    if (el_group_is_deleted(share->ack->group))
        return EL_STALE_MEMBER;
    int is_followed = atomic_load(&slot->decided_by) == atomic_load(&page->decided_by);
    if (is_followed && atomic_load(&slot->owner) == EL_SHARE_OWNER)
        return EL_DONE;
    int status = el_ack_take(share->ack, 0);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("share.slot_taken");
    int64_t decided_by = atomic_load(&slot->decided_by);
    int64_t committed = atomic_load(&slot->committed);
    if (decided_by != atomic_load(&page->decided_by))
        empty(page, committed >= 0 ? committed : share->start, decided_by);
    return EL_DONE;
}

static void unlock(el_share *share) {
    EL_ASSERT(el_mutex_is_own(&share->page->lock.mutex));
    pthread_mutex_unlock(&share->page->lock.mutex);
}

static int lock(el_share *share) {
    el_share_page *page = share->page;
    int result = el_mutex_lock(&page->lock.mutex, share->timeout_ms);
    if (result == EOWNERDEAD) {
        EL_FAULT_POINT("share.inherited");
        be_cautious(page);
        pthread_mutex_consistent(&page->lock.mutex);
    } else if (result != 0) {
        share->holder = atomic_load_explicit(&page->holder, memory_order_relaxed);
        return EL_LOCK_TIMEOUT;
    }
    atomic_store_explicit(&page->holder, share->process_id, memory_order_relaxed);
    int status = follow_slot(share);
    if (status == EL_LOCK_TIMEOUT)
        share->holder = share->ack->holder;
    if (status != EL_DONE)
        unlock(share);
    return status;
}

static void tell_workers(el_share *share) {
    EL_FAULT_POINT("share.changed");
    atomic_fetch_add(&share->page->changes, 1);
    EL_FAULT_POINT("share.counted");
    el_watch_ring(&share->page->watch, share->signals);
}

/* How long the window may be for this worker. */
static int64_t span_of(const el_share *share) {
    return share->locks_max < share->page->words_count ? share->locks_max : share->page->words_count;
}

/* Move the floor behind all that is finished, and commit it.
 *
 * Whoever finishes the record at the floor moves it. A thread that finishes the one behind it at the same moment sees either the new
 * floor, and moves it further, or the old one; then its word was finished before the floor was stored, and is seen here. */
static int advance(el_share *share) {
    el_share_page *page = share->page;
    int64_t floor = atomic_load(&page->floor), next = atomic_load(&page->next);
    int has_room_now = next - floor >= span_of(share) && is_finished(page, floor, load_word(page, floor));
    while (floor < next && is_finished(page, floor, load_word(page, floor))) {
        while (floor < next && is_finished(page, floor, load_word(page, floor)))
            floor++;
        atomic_store(&page->floor, floor);
        EL_FAULT_POINT("share.floor_stored");
    }
    if (has_room_now)
        tell_workers(share); /* they may have waited for the window to move */
    int64_t committed = atomic_load(&slot_of(share)->committed);
    if (committed >= floor || (committed < 0 && floor == share->start))
        return EL_DONE;
    return el_ack_commit(share->ack, floor, 1);
}

/* After records were finished without the mutex. */
static int advance_if_due(el_share *share) {
    el_share_page *page = share->page;
    int64_t floor = atomic_load(&page->floor);
    if (floor >= atomic_load(&page->next) || !is_finished(page, floor, load_word(page, floor)))
        return EL_DONE;
    int status = lock(share);
    if (status != EL_DONE)
        return status;
    status = advance(share);
    unlock(share);
    return status;
}

/* --- giving back --------------------------------------------------------------------------------------- */

static void lower(_Atomic int64_t *hint, int64_t value) {
    if (atomic_load(hint) > value)
        atomic_store(hint, value);
}

/* Give back a claimed record, to be available at `due_ms`, 0: now. Returns its new state, or EL_SHARE_EMPTY if it was settled just now.
 * Call with the mutex held. */
static int put_back(el_share *share, int64_t offset, uint64_t word, int64_t due_ms, int counted) {
    el_share_page *page = share->page;
    int deliveries = deliveries_of(word);
    int state = due_ms == 0 ? EL_SHARE_AVAILABLE : EL_SHARE_WAITING;
    if (state_of(word) == EL_SHARE_ACQUIRED) {
        if (!counted)
            deliveries -= deliveries < EL_DELIVERIES_MAX; /* one that stands for more stays */
        else if (deliveries >= share->delivery_limit)
            state = EL_SHARE_ARCHIVED;
    }
    if (state == EL_SHARE_AVAILABLE)
        lower(&page->first_available, offset);
    else if (state == EL_SHARE_WAITING)
        lower(&page->earliest_ms, due_ms);
    EL_FAULT_POINT("share.hinted");
    if (!replace(page, offset, word, make(page, offset, state, deliveries, 0, state == EL_SHARE_WAITING ? due_ms : 0)))
        return EL_SHARE_EMPTY;
    EL_FAULT_POINT("share.put_back");
    if (state == EL_SHARE_ARCHIVED)
        atomic_fetch_add_explicit(&page->archived, 1, memory_order_relaxed);
    return state;
}

/* Give back what has had its time: records whose lock has ended, and those whose delay is over. */
static void sweep(el_share *share, int64_t now_ms) {
    el_share_page *page = share->page;
    int64_t next = atomic_load(&page->next), earliest_ms = NOT_DUE;
    for (int64_t offset = atomic_load(&page->floor); offset < next; offset++) {
        uint64_t word = load_word(page, offset);
        if (!is_claimed(word) && state_of(word) != EL_SHARE_WAITING)
            continue;
        int64_t left_ms = ms_until(word, now_ms);
        if (left_ms > 0) {
            earliest_ms = now_ms + left_ms < earliest_ms ? now_ms + left_ms : earliest_ms;
        } else if (is_claimed(word)) {
            if (put_back(share, offset, word, 0, 1) != EL_SHARE_EMPTY)
                atomic_fetch_add_explicit(&page->expired, 1, memory_order_relaxed);
        } else {
            lower(&page->first_available, offset);
            EL_FAULT_POINT("share.due");
            atomic_store(word_at(page, offset), make(page, offset, EL_SHARE_AVAILABLE, deliveries_of(word), 0, 0));
        }
    }
    EL_FAULT_POINT("share.swept");
    atomic_store(&page->earliest_ms, earliest_ms);
}

/* Give back all that is claimed from this seat. Call with the mutex held. Returns how many became available. */
static int64_t clear_seat(el_share *share, uint32_t seat, int counted, int64_t *archived) {
    el_share_page *page = share->page;
    int64_t next = atomic_load(&page->next), available = 0;
    for (int64_t offset = atomic_load(&page->floor); offset < next; offset++) {
        uint64_t word = load_word(page, offset);
        if (!is_claimed(word) || seat_of(word) != seat)
            continue;
        int state = put_back(share, offset, word, 0, counted);
        available += state == EL_SHARE_AVAILABLE;
        *archived += state == EL_SHARE_ARCHIVED;
    }
    return available;
}

int el_share_reap(el_share *share, uint32_t seat, int64_t member_epoch, int counted, int64_t *archived) {
    *archived = 0;
    int status = lock(share);
    if (status != EL_DONE)
        return status;
    int64_t available = 0;
    if (atomic_load(&share->page->seats[seat]) == member_epoch) {
        available = clear_seat(share, seat, counted, archived);
        EL_FAULT_POINT("share.reaped");
        status = advance(share);
        atomic_store(&share->page->seats[seat], 0);
        EL_FAULT_POINT("share.seat_cleared");
    }
    unlock(share);
    if (available > 0)
        tell_workers(share);
    return status;
}

int el_share_release(el_share *share, int64_t offset, uint64_t word, int64_t delay_ms, int counted, int *is_archived) {
    *is_archived = 0;
    int status = lock(share);
    if (status != EL_DONE)
        return status;
    int state = EL_SHARE_EMPTY;
    if (is_claimed(word) && load_word(share->page, offset) == word)
        state = put_back(share, offset, word, delay_ms > 0 ? el_lease_ms() + delay_ms : 0, counted);
    if (state == EL_SHARE_EMPTY) {
        unlock(share);
        return EL_NOT_ACQUIRED;
    }
    *is_archived = state == EL_SHARE_ARCHIVED;
    atomic_fetch_add_explicit(&share->page->released, !*is_archived, memory_order_relaxed);
    if (*is_archived)
        status = advance(share);
    unlock(share);
    if (!*is_archived)
        tell_workers(share); /* also of a delay: it may end before those that they wait for */
    return status;
}

/* --- claiming ------------------------------------------------------------------------------------------ */

static void note_claim(el_claim *claim, int64_t offset, uint64_t word) {
    claim->offsets[claim->count] = offset;
    claim->words[claim->count++] = word;
}

static uint64_t claimed_word(el_share *share, int64_t offset, int deliveries, int ahead, int64_t now_ms) {
    deliveries += !ahead && deliveries < EL_DELIVERIES_MAX;
    int state = ahead ? EL_SHARE_RESERVED : EL_SHARE_ACQUIRED;
    return make(share->page, offset, state, deliveries, share->seat, now_ms + share->lock_ms);
}

static void claim_available(el_share *share, int ahead, int64_t now_ms, el_claim *claim) {
    el_share_page *page = share->page;
    int64_t floor = atomic_load(&page->floor), next = atomic_load(&page->next);
    int64_t offset = atomic_load(&page->first_available);
    for (offset = offset > floor ? offset : floor; offset < next && claim->count < claim->capacity; offset++) {
        uint64_t word = load_word(page, offset);
        if (state_of(word) != EL_SHARE_AVAILABLE)
            continue;
        uint64_t claimed = claimed_word(share, offset, deliveries_of(word), ahead, now_ms);
        atomic_store(word_at(page, offset), claimed);
        EL_FAULT_POINT("share.claimed_again");
        note_claim(claim, offset, claimed);
    }
    atomic_store(&page->first_available, offset);
    EL_FAULT_POINT("share.scanned");
}

static void claim_new(el_share *share, int64_t end, int ahead, int64_t now_ms, el_claim *claim) {
    el_share_page *page = share->page;
    int64_t first = atomic_load(&page->next), offset = first;
    int64_t limit = atomic_load(&page->floor) + span_of(share);
    for (limit = limit < end ? limit : end; offset < limit && claim->count < claim->capacity; offset++) {
        uint64_t claimed = claimed_word(share, offset, 0, ahead, now_ms);
        atomic_store_explicit(word_at(page, offset), claimed, memory_order_relaxed);
        EL_FAULT_POINT("share.claimed_new");
        note_claim(claim, offset, claimed);
    }
    if (offset == first)
        return;
    atomic_store(&page->next, offset);
    EL_FAULT_POINT("share.admitted");
    if (atomic_load(&page->first_available) == first)
        atomic_store(&page->first_available, offset);
}

/* Take the last record that somebody has only reserved: a worker with nothing to do helps one that has more than it needs. */
static void claim_reserved(el_share *share, int64_t now_ms, el_claim *claim) {
    el_share_page *page = share->page;
    int64_t floor = atomic_load(&page->floor);
    for (int64_t offset = atomic_load(&page->next) - 1; offset >= floor && claim->count == 0; offset--) {
        uint64_t word = load_word(page, offset);
        if (state_of(word) != EL_SHARE_RESERVED)
            continue;
        uint64_t claimed = claimed_word(share, offset, deliveries_of(word), 0, now_ms);
        if (replace(page, offset, word, claimed))
            note_claim(claim, offset, claimed);
        EL_FAULT_POINT("share.taken_over");
    }
}

/* The claims from this seat are this member's from now on; what a former one left there is given back. */
static void sit(el_share *share) {
    _Atomic int64_t *seat = &share->page->seats[share->seat];
    if (atomic_load(seat) == share->member_epoch)
        return;
    int64_t archived = 0;
    clear_seat(share, share->seat, 1, &archived);
    EL_FAULT_POINT("share.seat_taken");
    atomic_store(seat, share->member_epoch);
    EL_FAULT_POINT("share.seated");
}

int el_share_claim(el_share *share, int64_t end, int ahead, el_claim *claim) {
    claim->count = 0;
    if (share->ack->closed != NULL && el_flag_raised(share->ack->closed) > 0)
        return EL_CLOSED;
    int status = lock(share);
    if (status != EL_DONE)
        return status;
    EL_FAULT_POINT("share.locked");
    if (atomic_load(&share->is_over)) {
        unlock(share);
        return EL_CLOSED;
    }
    sit(share);
    status = advance(share); /* a worker may have died between finishing the record at the floor and moving it */
    if (status == EL_DONE) {
        int64_t now_ms = el_lease_ms();
        if (atomic_load(&share->page->earliest_ms) <= now_ms) {
            sweep(share, now_ms);
            status = advance(share);
        }
        lower(&share->page->earliest_ms, now_ms + share->lock_ms);
        EL_FAULT_POINT("share.lock_noted");
        claim_available(share, ahead, now_ms, claim);
        claim_new(share, end, ahead, now_ms, claim);
        if (claim->count == 0)
            claim_reserved(share, now_ms, claim);
    }
    unlock(share);
    return claim->count > 0 ? EL_DONE : status;
}

void el_share_end(el_share *share) {
    atomic_store(&share->is_over, 1);
}

int el_share_start(el_share *share, int64_t offset, uint64_t *word) {
    if (state_of(*word) == EL_SHARE_ACQUIRED)
        return EL_DONE;
    uint64_t started = claimed_word(share, offset, deliveries_of(*word), 0, el_lease_ms());
    if (!replace(share->page, offset, *word, started))
        return EL_NOT_ACQUIRED;
    *word = started;
    EL_FAULT_POINT("share.started");
    return EL_DONE;
}

/* --- settling ------------------------------------------------------------------------------------------ */

int el_share_renew(el_share *share, int64_t offset, uint64_t *word, int64_t lock_ms) {
    if (state_of(*word) != EL_SHARE_ACQUIRED)
        return EL_NOT_ACQUIRED;
    int64_t end_ms = el_lease_ms() + lock_ms;
    uint64_t renewed = make(share->page, offset, EL_SHARE_ACQUIRED, deliveries_of(*word), share->seat, end_ms);
    if (!replace(share->page, offset, *word, renewed))
        return EL_NOT_ACQUIRED;
    *word = renewed;
    EL_FAULT_POINT("share.renewed");
    return EL_DONE;
}

static int finish(el_share *share, int64_t offset, uint64_t word, int state) {
    return is_claimed(word) &&
           replace(share->page, offset, word, make(share->page, offset, state, deliveries_of(word), 0, 0));
}

int el_share_accept(el_share *share, const int64_t *offsets, const uint64_t *words, int32_t count, int32_t *refused) {
    *refused = 0;
    if (share->ack->closed != NULL && el_flag_raised(share->ack->closed) > 0)
        return EL_CLOSED;
    for (int32_t i = 0; i < count; i++) {
        *refused += !finish(share, offsets[i], words[i], EL_SHARE_ACKNOWLEDGED);
        EL_FAULT_POINT("share.accepted");
    }
    atomic_fetch_add_explicit(&share->page->acknowledged, count - *refused, memory_order_relaxed);
    return advance_if_due(share);
}

int el_share_accept_one(el_share *share, int64_t offset, uint64_t word) {
    int32_t refused;
    int status = el_share_accept(share, &offset, &word, 1, &refused);
    return status == EL_DONE && refused ? EL_NOT_ACQUIRED : status;
}

int el_share_reject(el_share *share, int64_t offset, uint64_t word) {
    if (!finish(share, offset, word, EL_SHARE_ARCHIVED))
        return EL_NOT_ACQUIRED;
    EL_FAULT_POINT("share.rejected");
    atomic_fetch_add_explicit(&share->page->archived, 1, memory_order_relaxed);
    return advance_if_due(share);
}
