/* The processes above one, as executions tell of them: who they are, how they are called at that moment, what they are. */

#define ANCESTORS 16

struct ancestor { u64 start; u32 tgid, unused; char comm[16]; struct id whole; };

static __always_inline struct task_struct *above(struct task_struct *task) {
    task = READ(task, real_parent);
    return READ(task, group_leader);
}

static __always_inline void name_ancestor(struct ancestor *ancestor, struct task_struct *task) {
    ancestor->start = READ(task, start_boottime);
    ancestor->tgid = READ(task, tgid);
    ancestor->unused = 0;
    u64 *name = (void *)ancestor->comm;
    name[0] = READ(task, comm[0]);
    name[1] = READ(task, comm[1]);
}

static __always_inline void hash_name(struct hash *hash, struct ancestor *ancestor) {
    u64 *name = (void *)ancestor->comm;
    hash_word(hash, name[0]);
    hash_word(hash, name[1]);
}
