/* The start of the one file `spoke`. Behind this program that file carries the contents of a folder (one zstd frame:
 * all files one after the other), the manifest (another frame; a line a file, in that order: MODE SIZE SHA256 PATH) and
 * a footer. The first start unpacks them into a cache folder that is named after them; every start then becomes
 * PLACE/NAME/spoke. `spoke --unpack DIR` only unpacks. Why: docs/decisions/0020-one-file.md. Exec frees the memory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

enum { DAMAGED = 65, CANNOT_CREATE = 73, DAY_S = 86400, STALE_S = 3600 }; /* exit codes: app/cli/exit_codes.py */

static struct {
    uint64_t payload_size, contents_size, packed_manifest_size, manifest_size;
    char name[56], magic[8];
} footer;
static const char *payload;
static char *manifest, reasons[8192]; /* its lines; why no place would do */
struct entry { mode_t mode; size_t size; char path[PATH_MAX]; };

static void die(int code, const char *what, const char *why) {
    fprintf(stderr, "spoke: %s%s\n", what, why);
    exit(code);
}

static char *text(const char *format, const char *a, const char *b) {
    char *made;
    return asprintf(&made, format, a, b) < 0 ? abort(), NULL : made;
}

static void note(const char *place, const char *why) {
    size_t used = strlen(reasons);
    snprintf(reasons + used, sizeof reasons - used, "\n  %s: %s", place, why);
}

static void read_own_file(const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = fd < 0 || fstat(fd, &st) ? 0 : (size_t)st.st_size;
    const char *image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image == MAP_FAILED) die(CANNOT_CREATE, "cannot read its own file: ", strerror(errno));
    size_t room = size - sizeof footer;
    memcpy(&footer, image + room, sizeof footer);
    size_t packed = footer.packed_manifest_size, listed = footer.manifest_size;
    if (memcmp(footer.magic, "SPOKE\0\0\1", 8) || packed > room || footer.payload_size > room - packed)
        die(DAMAGED, path, " is not whole; fetch it again");
    payload = image + room - packed - footer.payload_size;
    manifest = calloc(listed + 1, 1);
    if (!manifest || ZSTD_decompress(manifest, listed, image + room - packed, packed) != listed)
        die(DAMAGED, path, " is damaged; fetch it again"); /* zstd compares a checksum */
    close(fd);
}

static char *next_entry(char *line, struct entry *entry) { /* -> the next line; NULL where there is none */
    if (!*line) return NULL;
    entry->mode = (mode_t)strtoul(line, &line, 8);
    entry->size = strtoul(line, &line, 10);
    char *path = strrchr(strndup(line, strcspn(line, "\n")), ' ') + 1; /* no blanks in paths: pack.py sees to it */
    snprintf(entry->path, sizeof entry->path, "%s", path);
    return line + strcspn(line, "\n") + 1;
}

/* A power cut where the disk lied, or a cleaner of old files, leaves files out or short: 0.2 ms to find it. */
static int is_complete(const char *tree) {
    struct entry entry;
    struct stat st;
    for (char *line = manifest; (line = next_entry(line, &entry));)
        if (lstat(text("%s/%s", tree, entry.path), &st) || !S_ISREG(st.st_mode) || (size_t)st.st_size != entry.size)
            return 0;
    return !lstat(text("%s/%s", tree, "MANIFEST"), &st) && (uint64_t)st.st_size == footer.manifest_size;
}

static int remove_one(const char *path, const struct stat *, int, struct FTW *) { return remove(path); }

static void remove_tree(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static int write_file(const char *path, mode_t mode, const char *from, size_t size) { /* -> 0, or -1 and errno */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    for (ssize_t wrote; fd >= 0 && size && (wrote = write(fd, from, size)) > 0; size -= (size_t)wrote) from += wrote;
    return fd < 0 || size || fchmod(fd, mode) || close(fd) ? -1 : 0;
}

static int fill(const char *tree) { /* -> 0, or -1 and errno */
    struct entry entry;
    char *contents = mmap(NULL, footer.contents_size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (contents == MAP_FAILED) return -1; /* +1: an empty mapping is an error */
    if (ZSTD_decompress(contents, footer.contents_size, payload, footer.payload_size) != footer.contents_size)
        die(DAMAGED, "its file is damaged; fetch it again", "");
    for (char *line = manifest; (line = next_entry(line, &entry)); contents += entry.size) {
        char *path = text("%s/%s", tree, entry.path);
        for (char *slash = path + strlen(tree); (slash = strchr(slash + 1, '/')); *slash = '/')
            *slash = 0, mkdir(path, 0755); /* where it fails, the file cannot be written, which says why */
        if (write_file(path, entry.mode, contents, entry.size)) return -1;
    }
    return write_file(text("%s/%s", tree, "MANIFEST"), 0644, manifest, footer.manifest_size);
}

/* Durable before it has its name. Of several that unpack at once one gives the name, the others delete theirs. */
static int unpack(const char *place, const char *tree) { /* -> 0, or -1 and errno */
    char *temporary = text("%s/.unpack-%s", place, "XXXXXX");
    mode_t usual = umask(022);
    int folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || !mkdtemp(temporary)) return -1;
    int failed = fill(temporary) || chmod(temporary, 0755) || syncfs(folder)
        || (rename(temporary, tree) && !is_complete(tree) /* a torn one, which a program may still use */
            && renameat2(AT_FDCWD, temporary, AT_FDCWD, tree, RENAME_EXCHANGE)) || fsync(folder), why = errno;
    remove_tree(temporary); /* gone if all went well; else a lost race's, a torn one, or a failure's */
    umask(usual);
    close(folder);
    errno = why;
    return failed ? -1 : 0;
}

/* Keeps this release and the one used last before it. A release that runs holds a lock on its folder. */
static void prune(const char *place) {
    struct dirent **items;
    struct stat st;
    int count = scandir(place, &items, NULL, alphasort);
    time_t kept = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < count; i++) {
            char *name = items[i]->d_name, *path = text("%s/%s", place, name);
            if (lstat(path, &st) || !S_ISDIR(st.st_mode) || !strcmp(name, footer.name)) continue;
            if (!strncmp(name, ".unpack-", 8) && time(NULL) - st.st_mtime > STALE_S) remove_tree(path);
            if (access(text("%s/%s", path, "MANIFEST"), F_OK) || *name == '.') continue; /* not ours, or not yet */
            if (!pass && st.st_mtime > kept) kept = st.st_mtime;
            if (pass && st.st_mtime < kept) {
                int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); /* exec closes it */
                if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB)) remove_tree(path);
            }
        }
}

static int is_ours(const struct stat *st, mode_t forbidden) { /* nobody else may put a program there, or exchange it */
    return (st->st_uid == geteuid() || !st->st_uid) && !(st->st_mode & forbidden);
}

static void start_from(const char *place, char **arguments) { /* comes back, with a note, where it cannot */
    struct statvfs mounted;
    struct stat st;
    char *parent = text("%s%s", place, ""), *tree = text("%s/%s", place, footer.name), *why = NULL;
    for (char *slash = parent; !why && (slash = strchr(slash + 1, '/')); *slash = '/') {
        *slash = 0;
        if (mkdir(parent, 0700) && errno != EEXIST) why = strerror(errno);
        if (!geteuid() && !stat(parent, &st) && !is_ours(&st, st.st_mode & S_ISVTX ? 0 : 002))
            why = "in a folder of somebody else"; /* sudo with the HOME of a person */
    }
    if (!why && mkdir(place, 0700) && errno != EEXIST) why = strerror(errno);
    if (!why && (lstat(place, &st) || !S_ISDIR(st.st_mode) || !is_ours(&st, 022))) why = "others may write there";
    if (!why && !statvfs(place, &mounted) && mounted.f_flag & ST_NOEXEC) why = "mounted noexec";
    for (int tries = 0; !why && tries < 3; tries++) {
        int lock = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW); /* stays open in the program: `prune` looks */
        if (lock >= 0) flock(lock, LOCK_SH);
        if (lock >= 0 && is_complete(tree)) {
            if (!fstat(lock, &st) && time(NULL) - st.st_mtime > DAY_S) futimens(lock, NULL); /* it is in use */
            execv(text("%s/%s", tree, "spoke"), arguments);
            why = strerror(errno);
        } else if (unpack(place, tree)) {
            why = strerror(errno);
        } else {
            prune(place);
        }
        if (lock >= 0) close(lock);
    }
    note(place, why ? why : "what is unpacked there does not stay");
}

/* Where 0, 1 or 2 is closed, the next file opened would become stdin, stdout or stderr: here a lock, later a database. */
static void fill_standard_streams(void) {
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2) close(fd);
}

int main(int count, char **arguments) {
    fill_standard_streams();
    char *own = realpath("/proc/self/exe", NULL), user[32];
    if (!own) die(CANNOT_CREATE, "cannot find its own file, is /proc mounted? ", strerror(errno));
    read_own_file(own);
    if (count == 3 && !strcmp(arguments[1], "--unpack")) {
        char *tree = arguments[2], *slash = strrchr(tree, '/');
        if (!access(tree, F_OK)) die(CANNOT_CREATE, tree, " exists already");
        if (!unpack(!slash ? "." : slash == tree ? "/" : strndup(tree, (size_t)(slash - tree)), tree)) return 0;
        die(CANNOT_CREATE, text("cannot unpack into %s: %s", tree, strerror(errno)), "");
    }
    setenv("SPOKE_EXECUTABLE", own, 1);
    snprintf(user, sizeof user, "spoke-%u", geteuid());
    const char *places[][2] = {
        {getenv("SPOKE_CACHE"), "spoke"}, {getenv("CACHE_DIRECTORY"), "spoke"}, {getenv("XDG_CACHE_HOME"), "spoke"},
        {getenv("HOME"), ".cache/spoke"}, {geteuid() ? "" : "/var/cache", "spoke"}, {getenv("TMPDIR"), user},
        {"/tmp", user},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i][0] && *places[i][0] == '/') start_from(text("%s/%s", places[i][0], places[i][1]), arguments);
    die(CANNOT_CREATE, "found no folder to unpack into; name one: SPOKE_CACHE=/writable/and/executable", reasons);
}
