/* Counts the calls by which a process changes files under one folder, notes them in a log,
 * and ends, stops or refuses at the n-th. Loaded with LD_PRELOAD, it covers Python, Rust and
 * C alike; it sleeps until `arm` is called. For one thread. Nothing is flushed for real: a
 * killed process loses nothing by that, and for a lost power there is the log.
 *
 * A line of the log: number, operation, path, second path, offset and length, with tabs
 * between; the bytes that were written follow a write's line. Only what succeeded is noted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WATCH, KILL, TEAR, STOP, REFUSE };

static int mode = -1, refusal, log_file = -1;
static long count, nth;
static char root[PATH_MAX], denied[PATH_MAX];
static size_t root_length;

void arm(const char *folder, const char *log, int how, long which, int error, const char *deny) {
    snprintf(root, sizeof root, "%s/", folder);
    root_length = strlen(root);
    snprintf(denied, sizeof denied, "%s", deny);
    log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    nth = which, refusal = error, count = 0, mode = how;
}

static void absolute(char *out, int folder, const char *path) {
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    char link[64], base[PATH_MAX];
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
    base[length < 0 ? 0 : length] = 0;
    snprintf(out, PATH_MAX, "%.2000s%s%.2000s", base, path[0] ? "/" : "", path);
}

static int watched(const char *path) {
    size_t length = strlen(path);
    return mode >= 0 && (strncmp(path, root, root_length) == 0 ||
                         (length == root_length - 1 && strncmp(path, root, length) == 0));
}

/* Count a call that is about to be made; not 0 if it is to be refused. */
static int due(void) {
    count++;
    if (mode == KILL && count == nth) syscall(SYS_kill, getpid(), SIGKILL);
    if (mode == STOP && count == nth) syscall(SYS_kill, getpid(), SIGSTOP);
    if (mode == REFUSE && count >= nth) {
        errno = refusal;
        return 1;
    }
    return 0;
}

static void note(const char *what, const char *path, const char *other, off_t offset,
                 const void *bytes, ssize_t length) {
    char line[2 * PATH_MAX + 128];
    int size = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\t%lld\t%lld\n", count, what, path,
                        other, (long long)offset, (long long)(bytes ? length : 0));
    struct iovec pieces[2] = {{line, size}, {(void *)bytes, bytes ? length : 0}};
    syscall(SYS_writev, log_file, pieces, 2);
    if (mode == TEAR && count >= nth) syscall(SYS_kill, getpid(), SIGKILL);
}

static off_t position(int file) {
    struct stat status;
    if (fcntl(file, F_GETFL) & O_APPEND) return fstat(file, &status) == 0 ? status.st_size : 0;
    return lseek(file, 0, SEEK_CUR);
}

static ssize_t written(int file, const void *bytes, size_t length, off_t at, int moves) {
    char path[PATH_MAX];
    absolute(path, file, "");
    off_t offset = moves ? position(file) : at;
    if (watched(path)) {
        if (due()) {
            /* A disk that fills up takes what still fits. */
            if (count > nth || refusal != ENOSPC || length < 2) return -1;
            length /= 2;
        }
        if (mode == TEAR && count == nth) length /= 2;
    }
    ssize_t done = moves ? syscall(SYS_write, file, bytes, length)
                         : syscall(SYS_pwrite64, file, bytes, length, at);
    if (done >= 0 && watched(path)) note("write", path, "", offset, bytes, done);
    return done;
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (mode < 0) return syscall(SYS_write, file, bytes, length);
    return written(file, bytes, length, 0, 1);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    if (mode < 0) return syscall(SYS_pwrite64, file, bytes, length, at);
    return written(file, bytes, length, at, 0);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    return pwrite(file, bytes, length, at);
}

/* Its first piece alone: a short write, which every caller must be ready for. */
ssize_t writev(int file, const struct iovec *pieces, int number) {
    if (mode < 0) return syscall(SYS_writev, file, pieces, number);
    for (int each = 0; each < number; each++)
        if (pieces[each].iov_len) return write(file, pieces[each].iov_base, pieces[each].iov_len);
    return 0;
}

ssize_t sendfile(int to, int from, off_t *offset, size_t length) {
    char path[PATH_MAX], bytes[1 << 16];
    if (mode >= 0) absolute(path, to, "");
    if (mode < 0 || !watched(path))
        return syscall(SYS_sendfile, to, from, offset, length);
    length = length < sizeof bytes ? length : sizeof bytes;
    ssize_t got = offset ? pread(from, bytes, length, *offset) : read(from, bytes, length);
    if (got <= 0) return got;
    ssize_t done = write(to, bytes, got);
    if (offset && done > 0) *offset += done;
    if (!offset && done < got) lseek(from, done < 0 ? -got : done - got, SEEK_CUR);
    return done;
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
    return sendfile(to, from, offset, length);
}

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t length,
                        unsigned flags) {
    char path[PATH_MAX];
    if (mode >= 0) absolute(path, to, "");
    if (mode >= 0 && watched(path)) {
        errno = EXDEV; /* callers fall back to other ways of copying */
        return -1;
    }
    return syscall(SYS_copy_file_range, from, at, to, there, length, flags);
}

static int opened(int folder, const char *name, int flags, mode_t permissions) {
    if (mode < 0) return syscall(SYS_openat, folder, name, flags, permissions);
    char path[PATH_MAX];
    absolute(path, folder, name);
    if (denied[0] && watched(path) && strstr(path, denied)) {
        errno = EACCES;
        return -1;
    }
    int changes = (flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE;
    if (!changes || !watched(path)) return syscall(SYS_openat, folder, name, flags, permissions);
    if (due()) return -1;
    int file = syscall(SYS_openat, folder, name, flags, permissions);
    if (file >= 0) note(flags & O_TRUNC ? "truncate" : "open", path, "", 0, NULL, 0);
    return file;
}

#define OPENING(name, parameters, last, folder) \
    int name parameters { \
        mode_t permissions = 0; \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
            va_list rest; va_start(rest, last); \
            permissions = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        return opened(folder, path, flags, permissions); \
    }
OPENING(open, (const char *path, int flags, ...), flags, AT_FDCWD)
OPENING(open64, (const char *path, int flags, ...), flags, AT_FDCWD)
OPENING(openat, (int folder, const char *path, int flags, ...), flags, folder)
OPENING(openat64, (int folder, const char *path, int flags, ...), flags, folder)

int creat(const char *path, mode_t permissions) {
    return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, permissions);
}

static int on_file(const char *what, int file, off_t length, long number) {
    char path[PATH_MAX];
    if (mode >= 0) absolute(path, file, "");
    int counts = mode >= 0 && watched(path);
    if (counts && due()) return -1;
    int done = counts && strcmp(what, "sync") == 0 ? 0 : syscall(number, file, length);
    if (counts && done == 0) note(what, path, "", length, NULL, 0);
    return done;
}

int fsync(int file) { return on_file("sync", file, 0, SYS_fsync); }
int fdatasync(int file) { return on_file("sync", file, 0, SYS_fdatasync); }
int ftruncate(int file, off_t length) { return on_file("resize", file, length, SYS_ftruncate); }
int ftruncate64(int file, off64_t length) { return ftruncate(file, length); }

/* A call on one name: `made` is the system call. */
#define ON_NAME(what, folder, name, made) \
    char path[PATH_MAX]; \
    if (mode >= 0) absolute(path, folder, name); \
    int counts = mode >= 0 && watched(path); \
    if (counts && due()) return -1; \
    int done = (made); \
    if (counts && done == 0) note(what, path, "", 0, NULL, 0); \
    return done;

/* A call on two names. */
#define ON_NAMES(what, folder, name, folder2, name2, made) \
    char path[PATH_MAX], other[PATH_MAX]; \
    if (mode >= 0) absolute(path, folder, name), absolute(other, folder2, name2); \
    int counts = mode >= 0 && (watched(path) || watched(other)); \
    if (counts && due()) return -1; \
    int done = (made); \
    if (counts && done == 0) note(what, path, other, 0, NULL, 0); \
    return done;

int mkdirat(int folder, const char *name, mode_t permissions) {
    ON_NAME("mkdir", folder, name, syscall(SYS_mkdirat, folder, name, permissions))
}
int mkdir(const char *name, mode_t permissions) { return mkdirat(AT_FDCWD, name, permissions); }

/* A full disk still lets names go. */
int unlinkat(int folder, const char *name, int flags) {
    if (mode == REFUSE && refusal == ENOSPC) {
        char gone[PATH_MAX];
        absolute(gone, folder, name);
        count += watched(gone);
        return syscall(SYS_unlinkat, folder, name, flags);
    }
    ON_NAME(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, name,
            syscall(SYS_unlinkat, folder, name, flags))
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) { return unlink(name); }

int fchmodat(int folder, const char *name, mode_t permissions, int flags) {
    (void)flags;
    ON_NAME("chmod", folder, name, syscall(SYS_fchmodat, folder, name, permissions))
}
int chmod(const char *name, mode_t permissions) {
    return fchmodat(AT_FDCWD, name, permissions, 0);
}

int renameat2(int from, const char *name, int to, const char *name2, unsigned flags) {
    ON_NAMES("rename", from, name, to, name2, syscall(SYS_renameat2, from, name, to, name2, flags))
}
int renameat(int from, const char *name, int to, const char *name2) {
    return renameat2(from, name, to, name2, 0);
}
int rename(const char *name, const char *name2) {
    return renameat2(AT_FDCWD, name, AT_FDCWD, name2, 0);
}

int linkat(int from, const char *name, int to, const char *name2, int flags) {
    ON_NAMES("link", from, name, to, name2, syscall(SYS_linkat, from, name, to, name2, flags))
}
int link(const char *name, const char *name2) {
    return linkat(AT_FDCWD, name, AT_FDCWD, name2, 0);
}
