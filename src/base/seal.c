#include "base/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { VERSION = 1, ID_BYTES = 4, NONCE_BYTES = 12, TAG_BYTES = 16, KEY_FILE_LIMIT = 256 };

struct key {
	unsigned char bytes[SEAL_KEY_BYTES];
	unsigned char id[ID_BYTES];
	bool set;
};

struct seal {
	struct key present, previous;
};

static int wipe(struct seal *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool from_hex(const char *text, unsigned char *out)
{
	for (size_t n = 0; n < SEAL_KEY_BYTES; n++) {
		int high = hex_digit(text[2 * n]);
		int low = hex_digit(text[2 * n + 1]);
		if (high < 0 || low < 0)
			return false;
		out[n] = (unsigned char)(high * 16 + low);
	}
	return true;
}

/* 44 characters, the last of them the one '=' that 32 bytes need. */
static bool from_base64(const char *text, unsigned char *out)
{
	unsigned char room[SEAL_KEY_BYTES + 1];

	if (strchr(text, '=') != text + 43)
		return false;
	bool fits = EVP_DecodeBlock(room, (const unsigned char *)text, 44) == (int)sizeof(room);
	if (fits)
		memcpy(out, room, SEAL_KEY_BYTES);
	OPENSSL_cleanse(room, sizeof(room));
	return fits;
}

static enum status set_key(struct key *k, const char *text, size_t n, const char *whose)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	bool read = false;

	if (n == 2 * (size_t)SEAL_KEY_BYTES)
		read = from_hex(text, k->bytes);
	else if (n == 44)
		read = from_base64(text, k->bytes);
	if (!read)
		return failure(E_INVALID, "%s: want 64 hex digits or base64 of 32 bytes", whose);
	if (EVP_Digest(k->bytes, SEAL_KEY_BYTES, digest, NULL, EVP_sha256(), NULL) != 1)
		return failure(E_INTERNAL, "libcrypto has no SHA-256");
	memcpy(k->id, digest, ID_BYTES);
	k->set = true;
	return OK;
}

static enum status trouble(const char *path)
{
	char reason[128];

	return failure(E_INVALID, "key file %s: %s", path,
		       strerror_r(errno, reason, sizeof(reason)));
}

static enum status write_text(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return trouble(path);
	enum status s = OK;
	if (fchmod(fd, 0600) != 0 || write(fd, text, n) != (ssize_t)n || fsync(fd) != 0)
		s = trouble(path);
	close(fd);
	return s;
}

static enum status sync_directory_of(void *mem, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dir = slash == NULL	  ? "."
			  : slash == path ? "/"
					  : str_ndup(mem, path, (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return trouble(dir);
	enum status s = fsync(fd) == 0 ? OK : trouble(dir);
	close(fd);
	return s;
}

/* Appears under its name only when it is whole and on disk: a crash leaves no half key, and of two
 * that create it at once one wins. */
static enum status create_file(void *mem, const char *path)
{
	char *fresh = str_fmt(mem, "%s.%s", path, id_random_hex(mem, 8));
	char *text = id_random_hex(mem, SEAL_KEY_BYTES);
	size_t n = strlen(text);

	text[n] = '\n';
	enum status s = write_text(fresh, text, n + 1);
	OPENSSL_cleanse(text, n);
	if (s == OK && link(fresh, path) != 0 && errno != EEXIST)
		s = trouble(path);
	unlink(fresh);
	TRY(s);
	return sync_directory_of(mem, path);
}

static enum status load_key(void *mem, const char *path, struct key *k)
{
	struct stat st;
	char *text = NULL;
	size_t n = 0;

	if (stat(path, &st) != 0)
		return trouble(path);
	if ((st.st_mode & 077) != 0)
		return failure(E_INVALID, "key file %s: others may read it; chmod 600", path);
	TRY(file_read(mem, path, KEY_FILE_LIMIT, &text, &n));
	size_t room = n;
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		n--;
	enum status s = set_key(k, text, n, path);
	OPENSSL_cleanse(text, room);
	return s;
}

static enum status key_of_file(const char *path, struct key *k)
{
	SCOPE(tmp);
	struct stat st;

	if (stat(path, &st) != 0 && errno == ENOENT)
		TRY(create_file(tmp, path));
	return load_key(tmp, path, k);
}

enum status seal_new(void *mem, const char *key, const char *previous, const char *path,
		     struct seal **out)
{
	struct seal *s = NEW(mem, struct seal);

	talloc_set_destructor(s, wipe);
	if (!str_empty(key))
		TRY(set_key(&s->present, key, strlen(key), "encryption.key"));
	else
		TRY(key_of_file(path, &s->present));
	if (!str_empty(previous))
		TRY(set_key(&s->previous, previous, strlen(previous), "encryption.previous_key"));
	*out = s;
	return OK;
}

static bool encrypt(EVP_CIPHER_CTX *c, const struct key *k, const char *context, const void *plain,
		    int bytes, unsigned char *nonce)
{
	unsigned char *text = nonce + NONCE_BYTES;
	int n = 0;

	return EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->bytes, nonce) == 1 &&
	       EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)context,
				 (int)strlen(context)) == 1 &&
	       EVP_EncryptUpdate(c, text, &n, plain, bytes) == 1 &&
	       EVP_EncryptFinal_ex(c, text + n, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + bytes) == 1;
}

enum status seal_lock(void *mem, const struct seal *s, const char *context, const void *plain,
		      size_t bytes, unsigned char **out, size_t *out_bytes)
{
	if (bytes > INT_MAX - SEAL_OVERHEAD)
		return failure(E_INVALID, "%zu bytes are too many to seal", bytes);
	unsigned char *locked = NEW_ARRAY(mem, unsigned char, bytes + SEAL_OVERHEAD);
	locked[0] = VERSION;
	memcpy(locked + 1, s->present.id, ID_BYTES);
	id_random(locked + 1 + ID_BYTES, NONCE_BYTES);
	EVP_CIPHER_CTX *c = mem_check(EVP_CIPHER_CTX_new());
	bool done = encrypt(c, &s->present, context, plain == NULL ? "" : plain, (int)bytes,
			    locked + 1 + ID_BYTES);
	EVP_CIPHER_CTX_free(c);
	if (!done)
		return failure(E_INTERNAL, "libcrypto cannot encrypt with AES-256-GCM");
	*out = locked;
	*out_bytes = bytes + SEAL_OVERHEAD;
	return OK;
}

static const struct key *key_with(const struct seal *s, const unsigned char *id)
{
	if (memcmp(s->present.id, id, ID_BYTES) == 0)
		return &s->present;
	if (s->previous.set && memcmp(s->previous.id, id, ID_BYTES) == 0)
		return &s->previous;
	return NULL;
}

static bool decrypt(EVP_CIPHER_CTX *c, const struct key *k, const char *context,
		    const unsigned char *nonce, int bytes, char *plain)
{
	const unsigned char *text = nonce + NONCE_BYTES;
	unsigned char tag[TAG_BYTES];
	int n = 0;

	memcpy(tag, text + bytes, TAG_BYTES);
	return EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->bytes, nonce) == 1 &&
	       EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)context,
				 (int)strlen(context)) == 1 &&
	       EVP_DecryptUpdate(c, (unsigned char *)plain, &n, text, bytes) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
	       EVP_DecryptFinal_ex(c, (unsigned char *)plain + n, &n) == 1;
}

enum status seal_unlock(void *mem, const struct seal *s, const char *context, const void *locked,
			size_t bytes, char **out, size_t *out_bytes)
{
	const unsigned char *l = locked;

	if (bytes < SEAL_OVERHEAD || bytes > INT_MAX || l[0] != VERSION)
		return failure(E_INVALID, "sealed text is cut, or not sealed by this program");
	const struct key *k = key_with(s, l + 1);
	if (k == NULL)
		return failure(E_DENIED, "sealed with the key %02x%02x%02x%02x, which is not here",
			       l[1], l[2], l[3], l[4]);
	size_t n = bytes - SEAL_OVERHEAD;
	char *plain = NEW_ARRAY(mem, char, n + 1);
	EVP_CIPHER_CTX *c = mem_check(EVP_CIPHER_CTX_new());
	bool genuine = decrypt(c, k, context, l + 1 + ID_BYTES, (int)n, plain);
	EVP_CIPHER_CTX_free(c);
	if (!genuine) {
		OPENSSL_cleanse(plain, n);
		talloc_free(plain);
		return failure(E_INVALID, "sealed text was altered, or is of another kind than %s",
			       context);
	}
	*out = plain;
	*out_bytes = n;
	return OK;
}
