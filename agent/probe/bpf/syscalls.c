/* System calls that rules ask for, told when they returned. One program for all of them: a row of `specs` says what of a
 * call to tell; the agent puts it on the exit tracepoints that its rules need, and on no other.
 *
 * Safe: runs after the act, changes nothing, and takes nothing but reads; an outcome nobody asked for ends at the first
 * comparison. The host's processes are told like those of containers, for rules look at them, too.
 * Descriptors are what the kernel holds for them (file, socket). Texts, addresses and buffers are read from user memory
 * after the call: another thread could have changed them in between. The same goes for what the call itself changed:
 * after chroot and pivot_root a directory is told as seen from the new root.
 * Misses: io_uring, 32-bit programs on a 64-bit kernel (the tracepoints are silent for them), and of a message all parts
 * but the first. */

#define ADDRESS_LENGTH_AT 1 /* the length of the address is behind a pointer */
#define RECEIVES 2
#define OPENS 4
#define ACCEPTS 8
#define EXECUTES 16

#define MAKING 020000100 /* O_CREAT, O_TMPFILE */
#define STREAM 1
#define BOUND_PORT 8
#define ESTABLISHED 1
#define BUFFER 128
#define ADDRESS 112
#define UNIX 1
#define MOST_PARTS 8

/* What two calls of one behaviour have in common of what a descriptor stands for. */
struct described {
    u64 magic;
    u32 device, mode, flags, path_length;
    u16 family, type, protocol, server_port;
    u32 server, local_length, remote_length, unused; /* lengths of the unix sockets' names */
    char local[16], remote[16];
};

struct syscall_record {
    struct header header;
    struct identity identity;
    struct id by_object; /* the key without places, of openings that went well */
    u64 slots[HOW + 3];
    u64 size, inode;
    u32 descriptor, queued, queue_size, buffer_length;
    u16 local_port, remote_port;
    u32 state;
    /* from here on all is of the behaviour */
    u32 number, outcome, address_length, unused;
    struct described described;
    char address[ADDRESS];
    struct place places[3]; /* how the caller called it; texts follow, that of the file first */
};

#define DONE 0
#define UNDER_WAY 1
#define FAILED 2

struct part { u64 base, length; };
struct message { u64 name; u32 name_length, unused; u64 parts, parts_count; };

static __always_inline struct sock *sock_of(struct file *file) {
    file = CAST(file);
    struct inode *inode = FOLLOW(file, f_inode);
    if ((READ(inode, i_mode) & 0170000) != 0140000)
        return 0;
    struct socket *socket = FOLLOW(file, private_data);
    return READ(socket, sk);
}

static __always_inline int is_internet(struct sock *sock) {
    u32 family = READ(sock, __sk_common_skc_family);
    return family == INET || family == INET6;
}

static __always_inline int is_unwanted(u32 told, struct file *file) {
    if (!file)
        return 0;
    struct sock *sock = sock_of(file);
    if (!sock || !is_internet(sock))
        return !(told & TELL_LOCAL);
    if (!(told & TELL_INTERNET))
        return 1;
    sock = CAST(sock);
    if (!(told & TELL_TCP) && (FOLLOW(sock, sk_protocol) & 0xffff) == TCP)
        return 1;
    return !(told & TELL_CONNECTED) && FOLLOW(sock, __sk_common_skc_state) == ESTABLISHED;
}

/* Whether the local end is the server's. A port that connect chose has a bucket of its own (fastreuse -1), an accepted
 * socket shares the one of bind but not the lock on it that the caller of bind has. */
static __always_inline int is_server(struct sock *sock, struct described *described, u32 state) {
    u32 locked = READ(sock, sk_userlocks) >> USERLOCKS_SHIFT & BOUND_PORT;
    if (state == LISTENING)
        return 1;
    if (described->type == DATAGRAM)
        return locked != 0;
    if (described->type != STREAM || locked)
        return 0;
    struct inet_connection_sock *connection = (void *)sock;
    struct inet_bind_bucket *bucket = READ(connection, icsk_bind_hash);
    return bucket && READ(bucket, fastreuse) >= 0;
}

static __always_inline u32 append_unix(struct scratch *scratch, struct unix_sock *sock) {
    struct unix_address *address = sock ? READ(sock, addr) : 0;
    u64 end = scratch->end;
    if (!address || end > RECORD_MAX - 128)
        return 0;
    u64 length = READ(address, len);
    length -= 2; /* the family in front of the name */
    if (length > 108)
        return 0;
    bpf_probe_read_kernel(scratch->record + end, length, (void *)&address->name + 2);
    scratch->end = end + length;
    return length;
}

static __always_inline void describe_socket(struct scratch *scratch, struct syscall_record *record, struct sock *sock,
                                            int accepted) {
    struct described *described = &record->described;
    sock = CAST(sock);
    described->family = FOLLOW(sock, __sk_common_skc_family);
    described->type = FOLLOW(sock, sk_type);
    described->protocol = FOLLOW(sock, sk_protocol);
    record->state = FOLLOW(sock, __sk_common_skc_state);
    if (described->family == INET || described->family == INET6) {
        record->local_port = FOLLOW(sock, __sk_common_skc_num);
        record->remote_port = bpf_ntohs(FOLLOW(sock, __sk_common_skc_dport));
        described->server = accepted || is_server(sock, described, record->state);
        described->server_port = described->server ? record->local_port : record->remote_port;
    }
    if (described->family == INET) {
        *(u32 *)described->local = FOLLOW(sock, __sk_common_skc_rcv_saddr);
        *(u32 *)described->remote = FOLLOW(sock, __sk_common_skc_daddr);
    }
    if (described->family == INET6) {
        READ_BYTES(described->local, 16, sock, __sk_common_skc_v6_rcv_saddr);
        READ_BYTES(described->remote, 16, sock, __sk_common_skc_v6_daddr);
    }
    if (described->family == UNIX) {
        struct unix_sock *local = (void *)sock;
        described->server = record->state == LISTENING;
        described->local_length = append_unix(scratch, local);
        described->remote_length = append_unix(scratch, (void *)READ(local, peer));
    }
}

static __always_inline void describe(struct scratch *scratch, struct syscall_record *record, struct task_struct *task,
                                     struct file *file, int accepted) {
    struct described *described = &record->described;
    __builtin_memset(described, 0, sizeof(*described));
    record->inode = record->local_port = record->remote_port = record->state = 0;
    if (!file)
        return;
    struct inode *inode = READ(file, f_inode);
    struct super_block *superblock = READ(inode, i_sb);
    record->inode = READ(inode, i_ino);
    described->mode = READ(inode, i_mode);
    described->magic = READ(superblock, s_magic);
    described->device = READ(superblock, s_dev);
    struct sock *sock = sock_of(file);
    if (sock) {
        describe_socket(scratch, record, sock, accepted);
        return;
    }
    u64 begin = scratch->end;
    described->flags = append_file(scratch, FIRST, task, file) | layer_flags(inode);
    if (READ(file, f_mode) & FMODE_CREATED)
        described->flags |= OPEN_CREATED;
    described->path_length = scratch->end - begin;
}

static __always_inline void append_places(struct scratch *scratch, struct syscall_record *record, struct spec *spec,
                                          u64 *slots, struct task_struct *task) {
    record->places[0] = record->places[1] = record->places[2] = (struct place){};
    u64 name = slots[spec->names[0] & 15];
    u32 directory = spec->directories[0] & 15;
    if (name && directory == PLAIN)
        append_name(scratch, SECOND, &record->places[0], name);
    else if (name)
        append_place(scratch, SECOND, &record->places[0], task, slots[directory], name);
    name = slots[spec->names[1] & 15];
    directory = spec->directories[1] & 15;
    if (name && directory == PLAIN)
        append_name(scratch, THIRD, &record->places[1], name);
    else if (name)
        append_place(scratch, THIRD, &record->places[1], task, slots[directory], name);
    name = slots[spec->names[2] & 15];
    if (name)
        append_name(scratch, RECORD_MAX - 512, &record->places[2], name);
}

static __always_inline void add_address(struct syscall_record *record, struct spec *spec, u64 address, u64 length) {
    volatile u64 known = (u32)length; /* else the compiler bounds a copy, and the verifier does not see it */
    record->address_length = 0;
    if (spec->traits & ADDRESS_LENGTH_AT) {
        known = 0;
        read_user((void *)&known, 4, (void *)length);
    }
    length = known;
    if (length > ADDRESS)
        length = ADDRESS;
    if (!address || read_user(record->address, length, (void *)address))
        return;
    record->address_length = length;
}

static __always_inline u64 sum_of(struct message *message) {
    struct part part = {};
    u64 sum = 0;
    for (int i = 0; i < MOST_PARTS && i < message->parts_count; i++) {
        if (read_user(&part, sizeof(part), (void *)message->parts + i * sizeof(part)))
            break;
        sum += part.length;
    }
    return sum;
}

static __always_inline void append_buffer(struct scratch *scratch, struct syscall_record *record, u64 base,
                                          u64 length) {
    u64 end = scratch->end;
    record->buffer_length = 0;
    if (length > BUFFER)
        length = BUFFER;
    if (!base || !length || end > RECORD_MAX - 128)
        return;
    if (read_user(scratch->record + end, length, (void *)base))
        return;
    record->buffer_length = length;
    scratch->end = end + length;
}

static __always_inline void add_peer(struct syscall_record *record, struct spec *spec, u64 *slots, long result) {
    struct message message = {};
    u64 address = slots[spec->address & 15], length = slots[spec->address_length & 15];
    if (spec->message != NONE) {
        read_user(&message, sizeof(message), (void *)slots[spec->message & 15]);
        address = message.name;
        length = message.name_length;
    }
    if (result < 0 && spec->traits & RECEIVES)
        address = 0;
    add_address(record, spec, address, length);
}

static __always_inline void append_message(struct scratch *scratch, struct syscall_record *record, struct spec *spec,
                                           u64 *slots, long result) {
    struct message message = {};
    struct part first = { .base = slots[spec->buffer & 15], .length = slots[spec->size & 15] };
    record->size = first.length;
    if (spec->message != NONE) {
        read_user(&message, sizeof(message), (void *)slots[spec->message & 15]);
        read_user(&first, sizeof(first), (void *)message.parts);
        record->size = sum_of(&message);
    }
    u64 moved = result < 0 ? 0 : result;
    if (result < 0 && !(spec->traits & RECEIVES))
        moved = record->size;
    append_buffer(scratch, record, first.base, first.length < moved ? first.length : moved);
}

/* Of an execution that failed, in place of a buffer. Returns what makes them part of the behaviour. */
static __always_inline struct id append_ancestors(struct scratch *scratch, struct syscall_record *record,
                                                  struct task_struct *task) {
    struct ancestor ancestor = {};
    struct hash names;
    hash_begin(&names);
    hash_word(&names, record->identity.virtual_pid == 1);
    record->size = record->buffer_length = 0;
    for (int i = 0; i < ANCESTORS; i++) {
        task = above(task);
        if (!READ(task, tgid))
            break;
        name_ancestor(&ancestor, task);
        hash_name(&names, &ancestor);
        ancestor.whole = context_of(task).whole;
        u64 at = BOUNDED(scratch->end, RECORD_MAX - sizeof(ancestor));
        if (!at)
            break;
        __builtin_memcpy(scratch->record + at, &ancestor, sizeof(ancestor));
        record->buffer_length += sizeof(ancestor);
        scratch->end = at + sizeof(ancestor);
    }
    return hash_end(&names);
}

static __always_inline void add_queue(struct syscall_record *record, struct spec *spec, u64 *slots,
                                      struct task_struct *task) {
    record->queued = record->queue_size = 0;
    if (spec->listener == NONE)
        return;
    struct sock *sock = sock_of(file_of(task, slots[spec->listener & 15]));
    record->queued = READ(sock, sk_ack_backlog);
    record->queue_size = READ(sock, sk_max_ack_backlog);
}

/* All but the first argument and the result. */
static __always_inline void fill_slots(u64 *slots, struct pt_regs *registers) {
    slots[1] = FOLLOW(registers, ARG1);
    slots[2] = FOLLOW(registers, ARG2);
    slots[3] = FOLLOW(registers, ARG3);
    slots[4] = FOLLOW(registers, ARG4);
    slots[5] = FOLLOW(registers, ARG5);
    slots[SLOTS - 1] = HERE;
}

static __always_inline u32 outcome(long result) {
    return result >= 0 ? DONE : result == -115 /* EINPROGRESS */ ? UNDER_WAY : FAILED;
}

#define OF_BEHAVIOUR offsetof(struct syscall_record, number)
#define ADDRESS_AT offsetof(struct syscall_record, address)
#define WORDING offsetof(struct syscall_record, places)

/* All but the numbers and buffers of this one call, and but the words for it. What is new, and what no directory leads
 * to, has no identity. */
static __always_inline int hash_object(struct hash *hash, struct scratch *scratch, struct spec *spec) {
    struct syscall_record *record = (void *)scratch->record;
    hash_header(hash, &record->header);
    u64 stable = record->described.path_length && !(record->described.flags & (OPEN_CREATED | PATH_DETACHED));
    hash_word(hash, stable ? record->inode : 0);
    int makes = spec->flags == NONE || record->slots[spec->flags & 15] & MAKING;
    hash_word(hash, makes ? record->slots[spec->mode & 15] : 0);
#pragma clang loop unroll(disable)
    for (int slot = 0; slot < HOW + 3; slot++) {
        if (spec->constants >> slot & 1)
            hash_word(hash, record->slots[slot]);
    }
    return hash_texts(hash, scratch, OF_BEHAVIOUR, ADDRESS_AT + (record->address_length & 127), MOST_WORDS);
}

/* Whether the file was judged, whatever it is called by. */
static __always_inline int is_judged_file(struct scratch *scratch, struct hash *hash) {
    struct syscall_record *record = (void *)scratch->record;
    u64 end = sizeof(struct syscall_record) + record->described.path_length;
    if (!hash_texts(hash, scratch, sizeof(struct syscall_record), end, MOST_WORDS) ||
        !is_known(&record->header, hash, SYSCALL)) {
        record->by_object = record->header.key;
        return 0;
    }
    keep();
    return 1;
}

static __always_inline int is_judged(struct scratch *scratch, struct spec *spec, u64 texts_end, struct id ancestors) {
    struct syscall_record *record = (void *)scratch->record;
    struct hash object, wording;
    record->by_object = (struct id){};
    hash_object(&object, scratch, spec);
    if (spec->traits & EXECUTES)
        hash_id(&object, ancestors);
    wording = object;
    if (spec->traits & OPENS && record->outcome == DONE && is_judged_file(scratch, &object))
        return 1;
    record->header.key = (struct id){};
    int is_worded = spec->names[0] != NONE || texts_end > sizeof(struct syscall_record);
    return (!is_worded || hash_texts(&wording, scratch, WORDING, texts_end, MOST_WORDS)) &&
           is_known(&record->header, &wording, SYSCALL);
}

/* What makes the behaviour. */
static __always_inline void begin_record(struct scratch *scratch, struct spec *spec, struct task_struct *task,
                                         struct file *file, u64 *slots) {
    struct syscall_record *record = (void *)scratch->record;
    begin(&record->header, SYSCALL, task, cgroup_id(chosen_cgroup(task)), context_of(task).whole);
    __builtin_memcpy(record->slots, slots, sizeof(record->slots));
    __builtin_memset(record->address, 0, sizeof(record->address));
    record->outcome = outcome(slots[RESULT]);
    record->unused = 0;
    describe(scratch, record, task, file, spec->traits & ACCEPTS);
    append_places(scratch, record, spec, slots, task);
    add_peer(record, spec, slots, slots[RESULT]);
}

/* What is of this one call. */
static __always_inline void complete_record(struct scratch *scratch, struct spec *spec, struct task_struct *task,
                                            u64 *slots) {
    struct syscall_record *record = (void *)scratch->record;
    complete(&record->header, task, record->header.context);
    add_queue(record, spec, slots, task);
    if (spec->traits & EXECUTES)
        return;
    identify(&record->identity, task);
    append_message(scratch, record, spec, slots, slots[RESULT]);
}

static __always_inline void tell(struct scratch *scratch, struct spec *spec, struct task_struct *task,
                                 struct file *file, u64 *slots) {
    struct syscall_record *record = (void *)scratch->record;
    begin_record(scratch, spec, task, file, slots);
    u64 texts_end = scratch->end;
    struct id ancestors = {};
    if (spec->traits & EXECUTES) {
        identify(&record->identity, task);
        ancestors = append_ancestors(scratch, record, task);
    }
    if (is_judged(scratch, spec, texts_end, ancestors)) {
        release(scratch);
    } else {
        complete_record(scratch, spec, task, slots);
        hand_over(scratch, SYSCALL);
    }
}

int syscall_exit(struct syscall_exit *ctx) {
    u32 number = ctx->number;
    long result = ctx->result;
    struct spec *spec = specs.lookup(&number);
    if (!spec)
        return 0;
    u32 told = spec->told;
    if (!(told & (result < 0 ? TELL_FAILURE : TELL_SUCCESS)))
        return 0;
    COUNT(SYSCALL, seen);
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    if (FOLLOW(task, tgid) == SELF)
        goto suppress;
    if (!(spec->traits & OPENS))
        no_opening();
    struct pt_regs *registers = CAST(arguments(task));
    u64 slots[SLOTS] = { [0] = FOLLOW(registers, ARG0), [RESULT] = result };
    int descriptor = spec->descriptor == NONE ? -1 : slots[spec->descriptor & 15]; /* never another argument */
    struct file *file = descriptor < 0 ? 0 : file_of(task, descriptor);
    if (is_unwanted(told, file))
        goto suppress;
    fill_slots(slots, registers);
    if (spec->how != NONE)
        read_user(&slots[HOW], 24, (void *)slots[spec->how & 15]);
    struct scratch *scratch = borrow(SYSCALL, sizeof(struct syscall_record));
    if (!scratch)
        return 0;
    struct syscall_record *record = (void *)scratch->record;
    record->number = number;
    record->descriptor = descriptor;
    tell(scratch, spec, task, file, slots);
    return 0;
suppress:
    COUNT(SYSCALL, suppressed);
    return 0;
}
