/* Control groups made and removed, in the one hierarchy that tells containers apart, and processes moved between any.
 *
 * Safe: raw tracepoints that fire only on mkdir and rmdir of a cgroup and on a move. Misses: cgroups that were there
 * before (walked at the start) and those of other hierarchies, on purpose. */

struct cgroup_record { struct header header; u64 cgroup; u32 path_length, unused; };

static __always_inline int report_cgroup(u32 class, struct cgroup *cgroup, char *path) {
    struct task_struct *task = (void *)bpf_get_current_task();
    struct cgroup *own = chosen_cgroup(task);
    if (READ(cgroup, root) != READ(own, root))
        return 0;
    COUNT(class, seen);
    struct scratch *scratch = borrow(class, sizeof(struct cgroup_record));
    if (!scratch)
        return 0;
    struct cgroup_record *record = (void *)scratch->record;
    fill(&record->header, class, task, cgroup_id(own), (struct id){}, (struct id){});
    record->cgroup = cgroup_id(cgroup);
    record->unused = 0;
    record->path_length = 0;
    long length = bpf_probe_read_kernel_str(scratch->record + sizeof(*record), 4096, path);
    if (length > 0) {
        record->path_length = length;
        scratch->end = sizeof(*record) + length;
    }
    hand_over(scratch, class);
    return 0;
}

int cgroup_birth(struct bpf_raw_tracepoint_args *ctx) {
    return report_cgroup(BIRTH, (void *)ctx->args[0], (void *)ctx->args[1]);
}

int cgroup_death(struct bpf_raw_tracepoint_args *ctx) {
    return report_cgroup(DEATH, (void *)ctx->args[0], (void *)ctx->args[1]);
}

/* A process was moved: what ended in the kernel a moment ago may have another meaning now (recent.h). Nothing is told. */
int cgroup_joined(struct bpf_raw_tracepoint_args *ctx) {
    forget_recent();
    return 0;
}
