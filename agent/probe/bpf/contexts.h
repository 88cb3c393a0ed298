/* What every process is, as two hashes: of its program, which profiles go by, and of everything that rules may ask of it
 * and its ancestors. Made at exec, inherited at fork. A process whose exec or fork could not be told has neither: the
 * agent does not know it either, so nothing it does may be remembered; nor what its children do until the end.
 * One whose fork and execution were judged before ends in the kernel: of what it is the agent heard under the same
 * context from another process, and of this one only by what it does that is new.
 *
 * Of a process that was there before the agent, the process itself stands for its context. */

struct process { u64 start; u32 tgid, unused; };
struct context { struct id program, whole; u32 told, unused; }; /* told: the agent heard of this very process */

BPF_TABLE("hash", struct process, struct context, contexts, PROCESSES);

#define OF_FORK 1001
#define OF_PROGRAM 1002

static __always_inline struct process process_of(struct task_struct *task) {
    struct process process = { .start = group_start(task), .tgid = READ(task, tgid) };
    return process;
}

static __always_inline struct context context_of(struct task_struct *task) {
    struct process process = process_of(task);
    struct context *found = contexts.lookup(&process);
    if (found)
        return *found;
    struct context context = { .told = 1 };
    context.whole.high = context.program.high = process.start ^ HASH_KEY_0;
    context.whole.low = context.program.low = process.tgid ^ HASH_KEY_1;
    if (contexts.insert(&process, &context))
        context = (struct context){ .told = 1 };
    return context;
}

static __always_inline int is_none(struct id id) {
    return !(id.high | id.low);
}

static __always_inline void set_context(struct task_struct *task, struct context *context) {
    struct process process = process_of(task);
    if (contexts.update(&process, context))
        contexts.delete(&process); /* no room: it counts as older than the agent */
}
