/* SipHash-1-3 with 128 bits of result, under a key that the agent draws at its start: nobody can aim for a collision. */

struct hash { u64 a, b, c, d; };

#define MOST_WORDS 256 /* of texts; what is longer has no hash. The verifier walks through each of them */
#define MOST_WORDS_OF_EXEC 1280
#define ROTATE(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))

static __always_inline void hash_round(struct hash *hash) {
    hash->a += hash->b;
    hash->b = ROTATE(hash->b, 13) ^ hash->a;
    hash->a = ROTATE(hash->a, 32);
    hash->c += hash->d;
    hash->d = ROTATE(hash->d, 16) ^ hash->c;
    hash->a += hash->d;
    hash->d = ROTATE(hash->d, 21) ^ hash->a;
    hash->c += hash->b;
    hash->b = ROTATE(hash->b, 17) ^ hash->c;
    hash->c = ROTATE(hash->c, 32);
}

static __always_inline void hash_word(struct hash *hash, u64 word) {
    hash->d ^= word;
    hash_round(hash);
    hash->a ^= word;
}

static __always_inline void hash_id(struct hash *hash, struct id id) {
    hash_word(hash, id.high);
    hash_word(hash, id.low);
}

static __always_inline void hash_begin(struct hash *hash) {
    hash->a = HASH_KEY_0 ^ 0x736f6d6570736575ULL;
    hash->b = HASH_KEY_1 ^ 0x646f72616e646f6dULL ^ 0xee;
    hash->c = HASH_KEY_0 ^ 0x6c7967656e657261ULL;
    hash->d = HASH_KEY_1 ^ 0x7465646279746573ULL;
}

static __always_inline void hash_rounds(struct hash *hash) {
#pragma clang loop unroll(disable)
    for (int i = 0; i < 3; i++)
        hash_round(hash);
}

static __always_inline struct id hash_end(struct hash *hash) {
    struct id id;
    hash->c ^= 0xee;
    hash_rounds(hash);
    id.low = hash->a ^ hash->b ^ hash->c ^ hash->d;
    hash->b ^= 0xdd;
    hash_rounds(hash);
    id.high = hash->a ^ hash->b ^ hash->c ^ hash->d;
    return id;
}

/* The header's part that two events of one behaviour have in common. */
static __always_inline void hash_header(struct hash *hash, struct header *header) {
    u64 *words = (void *)header;
    hash_begin(hash);
#pragma clang loop unroll(disable)
    for (int i = 0; i < HASHED / 8; i++)
        hash_word(hash, words[i]);
}

/* Bytes of a record from the fixed offset `from` up to `until`; lengths in front of them say where each text ends.
 * False when they are too many: such a thing must not be remembered. */
static __always_inline int hash_texts(struct hash *hash, struct scratch *scratch, u32 from, u64 until, u32 most) {
    u64 end = BOUNDED(until, RECORD_MAX);
    if (!end)
        return 0;
    u64 *rest = (void *)scratch->record + end, behind = *rest;
    *rest = 0; /* the last word may not be full */
    int i = 0;
#pragma clang loop unroll(disable)
    for (; i < most && from + i * 8 < end; i++)
        hash_word(hash, *(u64 *)(scratch->record + from + i * 8));
    *rest = behind;
    return i < most;
}
