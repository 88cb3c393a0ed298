/* Behaviours that user space has judged. The kernel notes one as PENDING when it hands over the record that tells of it;
 * the agent makes it KNOWN when rules and profiles found nothing to report, and from then on it ends here. PENDING ends
 * nothing (but checks of capabilities, for some seconds): a record lost on the way must not silence the next one. */

struct known {
    u16 state, class;
    u32 generation;
    u32 round;   /* of the agent's rounds, the one in which it was last seen */
    u32 subject; /* what it means to the agent */
    u64 hits, cgroup;
    u64 at; /* seconds since boot when it became what it is */
};

BPF_TABLE("hash", struct id, struct known, judged, KNOWN_ENTRIES);

#define PENDING 1
#define KNOWN 2
#define PENDING_SECONDS 10

/* Checks of capabilities come by the thousand before the first is judged: one in a while is enough. */
static __always_inline int is_overdue(struct known *known, struct header *header) {
    u64 now = header->at / 1000000000;
    if (now < known->at + PENDING_SECONDS)
        return 0;
    known->at = now;
    return 1;
}

/* Whether the behaviour of this key ends here; it is counted then. Else the header has the key to answer with. */
static __always_inline int is_known_as(struct header *header, struct id key, u32 class) {
    if (is_none(header->context))
        return 0;
    header->key = key;
    header->generation = GENERATION;
    struct known *known = judged.lookup(&header->key);
    if (!known || known->generation != header->generation)
        return 0;
    if (known->state != KNOWN && (class != CAPABILITY || is_overdue(known, header)))
        return 0;
    known->round = ROUND;
    lock_xadd(&known->hits, 1);
    COUNT(class, known);
    COUNT(class, suppressed);
    return 1;
}

/* The same by a hash over all that makes the behaviour. */
static __always_inline int is_known(struct header *header, struct hash *hash, u32 class) {
    return is_known_as(header, hash_end(hash), class);
}

/* One cgroup's behaviours may take a quarter of the room. */
static __always_inline int has_place(struct share *share, u64 cgroup) {
    struct allowance *allowance = allowances.lookup(&cgroup);
    return share->listed - (allowance ? allowance->released : 0) < KNOWN_ENTRIES / 4;
}

static __always_inline void remember(struct header *header, struct share *share) {
    struct known pending = { .state = PENDING, .class = header->type, .generation = header->generation, .round = ROUND,
                             .cgroup = header->cgroup, .at = header->at / 1000000000 };
    if (!judged.insert(&header->key, &pending))
        lock_xadd(&share->listed, 1);
}

/* Hands a record over and counts it. False when it was dropped. */
static __always_inline int submit(u32 class, struct header *header, void *record, u64 size) {
    u64 cgroup = header->cgroup;
    struct share *share = share_of(cgroup);
    struct tally *tally = tally_of(cgroup, class), nobodys = {};
    int error = -1, ring = is_critical(class);
    if (!tally)
        tally = &nobodys;
    if (share && class != BIRTH && class != DEATH && is_over_share(share, cgroup, class, size)) {
        lock_xadd(&tally->withheld, 1);
    } else {
        header->parent = context_of(READ((struct task_struct *)bpf_get_current_task(), real_parent)).whole;
        if (!is_none(header->key) && (!share || !has_place(share, cgroup))) {
            header->key = (struct id){};
            lock_xadd(&tally->unlisted, 1);
        }
        error = ring ? critical.ringbuf_output(record, size, 0) : bulk.ringbuf_output(record, size, 0);
    }
    if (error) {
        COUNT(class, dropped);
        lock_xadd(&tally->dropped, 1);
        return 0;
    }
    COUNT(class, submitted);
    lock_xadd(&tally->submitted, 1);
    if (share)
        lock_xadd(&share->submitted[ring], size);
    if (share && !is_none(header->key))
        remember(header, share);
    return 1;
}

/* The same for a record made in the scratch, which is free afterwards. */
static __always_inline int hand_over(struct scratch *scratch, u32 class) {
    struct header *record = (void *)scratch->record; /* BCC's rewriter dies on an array here */
    u64 size = scratch->end;
    int told = 0;
    if (size <= RECORD_MAX)
        told = submit(class, record, record, size);
    else
        COUNT(class, dropped);
    release(scratch);
    return told;
}
