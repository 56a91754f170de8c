/* The first and only process of the emulated machine's own: runs the program of /arguments (in /directory, with
   /environment), whose output goes to the first two serial ports, writes its exit status to the third, and switches the
   machine off. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* The parts of a file, each closed by NUL, as a list closed by NULL. */
static char **parts(const char *path) {
    static const size_t most = 1 << 20;
    char *text = calloc(1, most), **list = calloc(4096, sizeof *list);
    int file = open(path, O_RDONLY);
    ssize_t size = read(file, text, most - 1);
    close(file);
    int n = 0;
    for (char *part = text; part < text + size && n < 4095; part += strlen(part) + 1) list[n++] = part;
    return list;
}

/* A serial port as `fd`, which passes on every byte as it is. */
static void serial(const char *path, int fd) {
    int port = open(path, O_RDWR | O_NOCTTY);
    struct termios settings;
    tcgetattr(port, &settings);
    cfmakeraw(&settings);
    cfsetspeed(&settings, B115200);
    tcsetattr(port, TCSANOW, &settings);
    dup2(port, fd);
    close(port);
}

int main(void) {
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mkdir("/dev/shm", 01777);
    serial("/dev/ttyS0", 10);
    serial("/dev/ttyS1", 11);
    serial("/dev/ttyS2", 12);
    pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_RDONLY), 0);
        dup2(10, 1);
        dup2(11, 2);
        close(10);
        close(11);
        close(12);
        setsid();
        char **arguments = parts("/arguments"), **directory = parts("/directory");
        if (chdir(directory[0]) == 0) execve(arguments[0], arguments, parts("/environment"));
        perror(arguments[0]);
        _exit(127);
    }
    int status, ended;
    do ended = wait(&status);
    while (ended != child);
    tcdrain(10);
    tcdrain(11);
    dprintf(12, "\nstatus %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    tcdrain(12);
    usleep(100000);
    ioperm(0x8900, 1, 1) == 0 || iopl(3);
    for (const char *word = "Shutdown"; *word; word++) outb(*word, 0x8900);
    for (;;) pause();
}
