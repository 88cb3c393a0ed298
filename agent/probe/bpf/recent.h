/* Openings that ended in the kernel a moment ago, by the kernel's own pointers: told apart in a tenth of the time that
 * following the path and hashing it takes. What is here only repeats what `judged` said: the same process between two
 * execs, with the same ids and name, opens the same file by the same entry of the same directory, from the same root,
 * in the same way. Only files that were judged whatever they are called by are here.
 *
 * Pointers could come to mean something else: an entry ends with the agent's next round (half a minute), when rules
 * or profiles change, and whenever anything on the machine was renamed or mounted, or a process was moved to another
 * cgroup. A name that is freed and used again for another file would have to be at the same address, have the same
 * parent, length and hash (under the kernel's own secret), and the file the same inode number. Renaming by io_uring is
 * only seen at the next round. */

#define RECENT 2048
#define OPENING_WORDS 22

struct opening { u64 words[OPENING_WORDS]; u32 whole, concerned, layer, unused; };

BPF_PERCPU_ARRAY(recent, struct opening, RECENT);
BPF_PERCPU_ARRAY(candidates, struct opening, 1);

static __always_inline void forget_recent(void) {
    lock_xadd(&NOTED->changes, 1);
}

static __always_inline struct opening *candidate(void) {
    int zero = 0;
    return candidates.lookup(&zero);
}

/* Nothing to be kept of this event. */
static __always_inline void no_opening(void) {
    struct opening *opening = candidate();
    if (opening)
        opening->whole = 0;
}

/* What openings are told apart by. The first four choose the place in the table. A process that is moved to another cgroup
 * ends everything here (cgroups.c), so its set of cgroups may stand for the one that counts. */
#define PARTS_OF_OPENING(task, file)                                        \
    struct task_struct *leader = FOLLOW(task, group_leader);                \
    struct cred *cred = CAST(FOLLOW(task, cred));                           \
    struct fs_struct *fs = CAST(FOLLOW(task, fs));                          \
    struct dentry *dentry = CAST(FOLLOW(file, f_path_dentry));              \
    struct inode *inode = FOLLOW(file, f_inode);                            \
    u64 number = READ(inode, i_ino), name = FOLLOW(dentry, d_name_hash_len), start = FOLLOW(leader, start_boottime);

#define WORDS_OF_OPENING(WORD)                                              \
    WORD(0, how)                                                            \
    WORD(1, number)                                                         \
    WORD(2, name)                                                           \
    WORD(3, start)                                                          \
    WORD(4, GENERATION << 32 | (u32)ROUND)                                  \
    WORD(5, NOTED->changes)                                                 \
    WORD(6, (u64)FOLLOW(task, tgid) << 32 | mode)                           \
    WORD(7, FOLLOW(file, f_path_mnt))                                       \
    WORD(8, dentry)                                                         \
    WORD(9, inode)                                                          \
    WORD(10, FOLLOW(dentry, d_parent))                                      \
    WORD(11, FOLLOW(task, self_exec_id))                                    \
    WORD(12, FOLLOW(leader, comm[0]))                                       \
    WORD(13, FOLLOW(leader, comm[1]))                                       \
    WORD(14, (u64)FOLLOW(cred, uid_val) << 32 | FOLLOW(cred, gid_val))      \
    WORD(15, (u64)FOLLOW(cred, euid_val) << 32 | FOLLOW(cred, egid_val))    \
    WORD(16, FOLLOW(fs, root_dentry))                                       \
    WORD(17, FOLLOW(fs, root_mnt))                                          \
    WORD(18, FOLLOW(fs, pwd_dentry))                                        \
    WORD(19, FOLLOW(fs, pwd_mnt))                                           \
    WORD(20, FOLLOW(task, cgroups))                                         \
    WORD(21, (u32)FOLLOW(task, loginuid_val))

static __always_inline struct opening *place_of(u64 how, u64 number, u64 name, u64 start) {
    u64 mixed = number * 0x9e3779b97f4a7c15ULL ^ start * 0xc2b2ae3d27d4eb4fULL ^ (name ^ how) * 0x165667b19e3779f9ULL;
    u32 place = mixed >> 32 & (RECENT - 1);
    return recent.lookup(&place);
}

/* The same opening, if it ended in the kernel a moment ago. What was no file of an overlay does not become one. */
static __always_inline struct opening *find_recent(struct task_struct *task, struct file *file, u32 mode,
                                                   u64 how) {
    PARTS_OF_OPENING(task, file)
    struct opening *found = place_of(how, number, name, start);
    if (!found)
        return 0;
#define SAME(at, word)                           \
    if (found->words[at] != AFRESH((u64)(word))) \
        return 0;
    WORDS_OF_OPENING(SAME)
#undef SAME
    return found->layer && found->layer != layer_flags(inode) ? 0 : found;
}

/* Makes the candidate. Written to memory and read back, pointers become the plain numbers that can be kept. */
static __always_inline struct opening *opening_of(struct task_struct *task, struct file *file, u32 mode,
                                                  u64 how) {
    struct opening *opening = candidate();
    if (!opening)
        return 0;
    PARTS_OF_OPENING(task, file)
    volatile u64 *words = opening->words;
    opening->whole = 1;
    opening->layer = layer_flags(inode);
#define PUT(at, word) words[at] = (u64)(word);
    WORDS_OF_OPENING(PUT)
#undef PUT
    return opening;
}

/* The candidate turned out to be known. */
static __always_inline void keep(void) {
    struct opening *opening = candidate();
    if (!opening || !opening->whole)
        return;
    u64 *words = opening->words;
    struct opening *found = place_of(words[0], words[1], words[2], words[3]);
    if (found)
        *found = *opening;
}
