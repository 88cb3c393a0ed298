/* Which part of the rings and of the known behaviours each cgroup takes. The kernel's figures only grow in `shares`, the
 * agent's answers only grow in `allowances`: each has one writer, and what is open is the difference. */

struct share {
    u64 submitted[2]; /* bytes, of the bulk and the critical ring */
    u64 listed;       /* behaviours remembered */
    u64 epoch;
};

struct allowance {
    u64 judged[2]; /* bytes that the agent has taken out of the rings */
    u64 released;  /* behaviours forgotten */
    u32 ignored;   /* files, connections and capabilities are out of scope */
    u32 epoch;
};

struct tally_key { u64 cgroup; u32 class, unused; };
struct tally { u64 submitted, dropped, withheld, unlisted; };

BPF_TABLE("hash", u64, struct share, shares, CGROUPS);
BPF_TABLE("hash", u64, struct allowance, allowances, CGROUPS);
BPF_TABLE("hash", struct tally_key, struct tally, tallies, CGROUPS * 2);

#define OTHERS (~0ULL) /* cgroups that no room was left for */

static __always_inline int is_ignored(u64 cgroup) {
    struct allowance *allowance = allowances.lookup(&cgroup);
    return allowance && allowance->ignored;
}

/* Counted up when something changes that decides about the cgroup's behaviours and is in no key. */
static __always_inline u32 epoch_of(u64 cgroup) {
    struct share *share = shares.lookup(&cgroup);
    struct allowance *allowance = allowances.lookup(&cgroup);
    return (share ? share->epoch : 0) + (allowance ? allowance->epoch : 0);
}

static __always_inline struct share *share_of(u64 cgroup) {
    struct share none = {};
    return shares.lookup_or_try_init(&cgroup, &none);
}

static __always_inline struct tally *tally_of(u64 cgroup, u32 class) {
    struct tally_key key = { .cgroup = cgroup, .class = class };
    struct tally none = {};
    struct tally *found = tallies.lookup_or_try_init(&key, &none);
    if (found)
        return found;
    key.cgroup = OTHERS;
    return tallies.lookup(&key);
}

static __always_inline int is_critical(u32 class) {
    return class == EXEC || class == FORK || class == EXIT || class == BIRTH || class == DEATH;
}

/* No cgroup may hold more of a ring than is free: whoever floods leaves room for all others, however many they are. */
static __always_inline int is_over_share(struct share *share, u64 cgroup, u32 class, u64 size) {
    int ring = is_critical(class);
    u64 room = ring ? CRITICAL_PAGES * 4096ULL : BULK_PAGES * 4096ULL;
    u64 taken = bpf_ringbuf_query(ring ? CRITICAL : BULK, 0 /* BPF_RB_AVAIL_DATA */);
    struct allowance *allowance = allowances.lookup(&cgroup);
    long held = share->submitted[ring] - (allowance ? allowance->judged[ring] : 0);
    if (held < 0) /* the agent was faster than the count */
        held = 0;
    return held + size + taken > room;
}
