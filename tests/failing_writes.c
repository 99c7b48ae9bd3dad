/* Writes that fail: loaded before libc (LD_PRELOAD), it counts the calls that change files of one folder, and makes one
 * of them, or all from one on, fail with an errno of choice. Other folders are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[4096];
static long calls, first = -1, last = -1;
static int error_number, half;

void fail_in(const char *where, long from, long to, int error, int half_of_it) {
    strncpy(folder, where, sizeof folder - 1);
    calls = 0, first = from, last = to, error_number = error, half = half_of_it;
}
long calls_so_far(void) { return calls; }

static int fails(const char *path) {
    if (!folder[0] || strncmp(path, folder, strlen(folder)) != 0) return 0;
    long number = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
    if (first < 0 || number < first || (last >= 0 && number > last)) return 0;
    errno = error_number;
    return 1;
}
static int fails_at(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(path);
}
#define ORIGINAL(name) static __typeof__(name) *original; if (!original) original = dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *data, size_t size) {
    ORIGINAL(write);
    if (fails_at(file)) return half && size > 1 ? original(file, data, size / 2) : -1;
    return original(file, data, size);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    ORIGINAL(pwrite);
    if (fails_at(file)) return half && size > 1 ? original(file, data, size / 2, at) : -1;
    return original(file, data, size, at);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    ORIGINAL(pwrite64);
    if (fails_at(file)) return half && size > 1 ? original(file, data, size / 2, at) : -1;
    return original(file, data, size, at);
}
int ftruncate(int file, off_t size) { ORIGINAL(ftruncate); return fails_at(file) ? -1 : original(file, size); }
int ftruncate64(int file, off64_t size) { ORIGINAL(ftruncate64); return fails_at(file) ? -1 : original(file, size); }
int fsync(int file) { ORIGINAL(fsync); return fails_at(file) ? -1 : original(file); }
int rename(const char *from, const char *to) { ORIGINAL(rename); return fails(to) ? -1 : original(from, to); }
int link(const char *from, const char *to) { ORIGINAL(link); return fails(to) ? -1 : original(from, to); }

static int makes(int flags) { return flags & (O_CREAT | O_TRUNC); }
int open(const char *path, int flags, ...) {
    ORIGINAL(open);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return makes(flags) && fails(path) ? -1 : original(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    ORIGINAL(open64);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return makes(flags) && fails(path) ? -1 : original(path, flags, mode);
}
