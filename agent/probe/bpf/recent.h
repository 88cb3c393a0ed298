/* Openings that ended in the kernel a moment ago, by the kernel's own pointers: told apart in a tenth of the time that
 * following the path and hashing it takes. What is here only repeats what `judged` said: the same process between two
 * execs, with the same ids and name, opens the same file by the same entry of the same directory, from the same root,
 * in the same way. Only files that were judged whatever they are called by are here.
 *
 * Pointers could come to mean something else: an entry ends with the agent's next round (a minute), when rules or
 * profiles change, and whenever anything on the machine was renamed or mounted. A name that is freed and used again for
 * another file would have to be at the same address, have the same parent, length and hash (under the kernel's own
 * secret), and the file the same inode number. Renaming by io_uring is only seen at the next round. */

#define RECENT 2048
#define OPENING_WORDS 23

struct opening { u64 words[OPENING_WORDS]; u32 whole, concerned; };

BPF_PERCPU_ARRAY(recent, struct opening, RECENT);
BPF_PERCPU_ARRAY(candidates, struct opening, 1);
BPF_ARRAY(names, u64, 1);

static __always_inline void names_changed(void) {
    int zero = 0;
    u64 *changes = names.lookup(&zero);
    if (changes)
        lock_xadd(changes, 1);
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

/* Makes the candidate. Written to memory and read back, pointers become the plain numbers that can be compared. */
static __always_inline struct opening *opening_of(struct task_struct *task, struct file *file, u64 how) {
    int zero = 0;
    struct opening *opening = candidate();
    u64 *changes = names.lookup(&zero);
    if (!opening || !changes)
        return 0;
    opening->whole = 1;
    volatile u64 *words = opening->words;
    struct task_struct *leader = READ(task, group_leader);
    struct dentry *dentry = READ(file, f_path_dentry);
    struct inode *inode = READ(file, f_inode);
    struct cred *cred = READ(task, cred);
    struct fs_struct *fs = READ(task, fs);
    words[0] = how;
    words[1] = GENERATION << 32 | (u32)ROUND;
    words[2] = *changes;
    words[3] = (u64)READ(file, f_mode) << 32 | layer_flags(inode);
    words[4] = (u64)READ(file, f_path_mnt);
    words[5] = (u64)dentry;
    words[6] = (u64)inode;
    words[7] = READ(inode, i_ino);
    words[8] = READ(dentry, d_name_hash_len);
    words[9] = (u64)READ(dentry, d_parent);
    words[10] = READ(leader, start_boottime);
    words[11] = READ(task, tgid);
    words[12] = READ(task, self_exec_id);
    words[13] = READ(leader, comm[0]);
    words[14] = READ(leader, comm[1]);
    words[15] = (u64)READ(cred, uid_val) << 32 | READ(cred, gid_val);
    words[16] = (u64)READ(cred, euid_val) << 32 | READ(cred, egid_val);
    words[17] = (u64)READ(fs, root_dentry);
    words[18] = (u64)READ(fs, root_mnt);
    words[19] = (u64)READ(fs, pwd_dentry);
    words[20] = (u64)READ(fs, pwd_mnt);
    words[21] = cgroup_id(chosen_cgroup(task));
    words[22] = READ(task, loginuid_val);
    return opening;
}

static __always_inline struct opening *place_of(struct opening *opening) {
    u64 mixed = opening->words[5] * 0x9e3779b97f4a7c15ULL ^ opening->words[10] * 0xc2b2ae3d27d4eb4fULL;
    mixed ^= (opening->words[11] ^ opening->words[0]) * 0x165667b19e3779f9ULL;
    u32 place = mixed >> 32 & (RECENT - 1);
    return recent.lookup(&place);
}

/* The candidate, if it ended in the kernel a moment ago. */
static __always_inline struct opening *find_recent(struct opening *opening) {
    struct opening *found = place_of(opening);
    if (!found)
        return 0;
    u64 different = 0;
#pragma unroll
    for (int i = 0; i < OPENING_WORDS; i++)
        different |= found->words[i] ^ opening->words[i];
    return different ? 0 : found;
}

/* The candidate turned out to be known. */
static __always_inline void keep(void) {
    struct opening *opening = candidate();
    struct opening *found = opening && opening->whole ? place_of(opening) : 0;
    if (!found)
        return;
#pragma unroll
    for (int i = 0; i < OPENING_WORDS; i++)
        found->words[i] = opening->words[i];
    found->concerned = opening->concerned;
}
