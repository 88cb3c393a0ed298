/* Paths as a process sees them: names from the leaf up to its root directory, through mounts. */

#define PATH_OUTSIDE 1   /* not below the process's root: told from the mount namespace's root */
#define PATH_DETACHED 2  /* no directory leads there: memfd, pipes */
#define PATH_TRUNCATED 4 /* more parts than STEPS, or than fit: the leading ones are missing */

/* Appends the names from the leaf up to the process's root, each ended by NUL, and returns PATH_ flags. */
static __always_inline u32 append_path(struct scratch *scratch, u32 limit, struct task_struct *task,
                                       struct vfsmount *vfsmount, struct dentry *dentry) {
    struct fs_struct *fs = READ(task, fs);
    struct dentry *root = READ(fs, root_dentry);
    struct vfsmount *root_mount = READ(fs, root_mnt);
    struct mount *mount = (void *)vfsmount - offsetof(struct mount, mnt);
    for (int step = 0; step < STEPS; step++) {
        if (dentry == root && (void *)&mount->mnt == (void *)root_mount)
            return 0;
        if (dentry == READ(mount, mnt_mnt_root)) {
            struct mount *parent = READ(mount, mnt_parent);
            if (parent == mount)
                return PATH_OUTSIDE;
            dentry = READ(mount, mnt_mountpoint);
            mount = parent;
            continue;
        }
        struct dentry *up = READ(dentry, d_parent);
        u64 end = scratch->end;
        if (end > limit - 256)
            break;
        long length = bpf_probe_read_kernel_str(scratch->record + end, 256, READ(dentry, d_name_name));
        if (length < 1)
            break;
        scratch->end = end + length;
        if (up == dentry)
            return PATH_DETACHED;
        dentry = up;
    }
    return PATH_TRUNCATED;
}

static __always_inline u32 append_file(struct scratch *scratch, u32 limit, struct task_struct *task,
                                       struct file *file) {
    return append_path(scratch, limit, task, READ(file, f_path_mnt), READ(file, f_path_dentry));
}

#define OVERLAYFS_MAGIC 0x794c7630
#define LAYER_UPPER 512 /* in an overlay's writable layer, or in one of those below */
#define LAYER_LOWER 2048

/* overlayfs' own inode has the upper dentry right behind the VFS inode it embeds; the structure itself is in no vmlinux
 * BTF when overlayfs is a module. */
static __always_inline u32 layer_flags(struct inode *inode) {
    struct super_block *superblock = READ(inode, i_sb);
    if (READ(superblock, s_magic) != OVERLAYFS_MAGIC)
        return 0;
    void *upper = 0;
    bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + SIZE_inode);
    return upper ? LAYER_UPPER : LAYER_LOWER;
}
