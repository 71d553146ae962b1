/* Makes the k-th write or sync below a folder fail, or the process die in it, or the disk under it full.
   Loaded by LD_PRELOAD, armed by ctypes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { DIE = 0, TEAR = -1 };
static long left = -1, seen;
static int how, is_sticky;
static char folder[512];

/* how: an errno, DIE before the call, or TEAR: write half, then die. */
void fault_arm(const char *below, long kth, int kind, int sticky) {
  snprintf(folder, sizeof folder, "%s", below);
  left = kth, how = kind, is_sticky = sticky, seen = 0;
}

static long room = -1;

/* From now on files below a folder may grow by so many bytes in all; what is removed may be used again. */
void fault_fill(const char *below, long bytes) {
  snprintf(folder, sizeof folder, "%s", below);
  room = bytes, seen = 0;
}

long fault_seen(void) { return seen; }

static int is_below(int file) {
  char link[64], path[1024];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return folder[0] && !strncmp(path, folder, strlen(folder));
}

static int is_full(int file, size_t size, off_t at) {
  struct stat now;
  if (room < 0 || !is_below(file) || fstat(file, &now)) return 0;
  long growth = (at < 0 ? lseek(file, 0, SEEK_CUR) : at) + (long)size - now.st_size;
  if (growth > room) return seen++, errno = ENOSPC, 1;
  if (growth > 0) room -= growth;
  return 0;
}

/* Returns whether this call shall fail; does not return if the process shall die. */
static int strikes(int file, const void *data, size_t size, off_t at) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if (data && is_full(file, size, at)) return 1;
  if (left < 0 || !is_below(file)) return 0;
  seen++;
  if (left > 1) return left--, 0;
  if (how == TEAR && data) {
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    real(file, data, size / 2, at < 0 ? lseek(file, 0, SEEK_CUR) : at);
  }
  if (how == DIE || how == TEAR) kill(getpid(), SIGKILL);
  left = is_sticky ? 1 : -1;
  errno = how;
  return 1;
}

#define CALL(name, type, parameters, arguments, file, data, size, at)        \
  type name parameters {                                                     \
    static type(*real) parameters;                                           \
    if (!real) real = dlsym(RTLD_NEXT, #name);                               \
    return strikes(file, data, size, at) ? (type)-1 : real arguments;        \
  }

CALL(write, ssize_t, (int f, const void *d, size_t n), (f, d, n), f, d, n, -1)
CALL(pwrite, ssize_t, (int f, const void *d, size_t n, off_t o), (f, d, n, o), f, d, n, o)
CALL(pwrite64, ssize_t, (int f, const void *d, size_t n, off64_t o), (f, d, n, o), f, d, n, o)
CALL(fsync, int, (int f), (f), f, NULL, 0, 0)
CALL(fdatasync, int, (int f), (f), f, NULL, 0, 0)
CALL(ftruncate, int, (int f, off_t n), (f, n), f, NULL, 0, 0)
CALL(ftruncate64, int, (int f, off64_t n), (f, n), f, NULL, 0, 0)

int unlink(const char *path) {
  static int (*real)(const char *);
  struct stat gone;
  if (!real) real = dlsym(RTLD_NEXT, "unlink");
  if (room >= 0 && !strncmp(path, folder, strlen(folder)) && !stat(path, &gone)) room += gone.st_size;
  return real(path);
}
