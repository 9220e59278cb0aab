/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/sockets.h"

/* The web turns away who is too many; here nobody is. */
enum { BACKLOG = SOMAXCONN };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

int sockets_listen_tcp(const char *address, uint16_t port, uint16_t *ret_port,
		       struct umbra_error *ret_error)
{
	union address name = {0};
	socklen_t size = sizeof(name.v4);
	int one = 1, fd, code;
	char place[16];

	snprintf(place, sizeof(place), "port %u", port);
	name.v4.sin_family = AF_INET;
	name.v4.sin_port = htons(port);
	if (inet_pton(AF_INET, address, &name.v4.sin_addr) != 1) {
		name.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		size = sizeof(name.v6);
		if (inet_pton(AF_INET6, address, &name.v6.sin6_addr) != 1)
			return umbra_error_set(ret_error, -EINVAL, address, place,
					       "a numeric address was expected");
	}
	fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return umbra_error_set(ret_error, -errno, address, place, "socket: %s",
				       strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &name.any, size) || listen(fd, BACKLOG) || getsockname(fd, &name.any, &size)) {
		code = umbra_error_set(ret_error, -errno, address, place, "%s", strerror(errno));
		close(fd);
		return code;
	}
	*ret_port = ntohs(name.any.sa_family == AF_INET ? name.v4.sin_port : name.v6.sin6_port);
	return fd;
}

/* Whether somebody accepts connections at @name. */
static bool is_alive(const struct sockaddr_un *name, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 && !connect(fd, (const struct sockaddr *)name, sizeof(*name));

	if (fd >= 0)
		close(fd);
	return alive;
}

/* Makes room for the socket. 0, or -EADDRINUSE. */
static int clear_path(const struct sockaddr_un *name, int type)
{
	char directory[sizeof(name->sun_path)];
	struct stat status;
	char *slash;

	strcpy(directory, name->sun_path);
	slash = strrchr(directory, '/');
	if (slash && slash != directory) {
		*slash = '\0';
		mkdir(directory, 0755); /* bind() tells if that was of no use */
	}
	if (lstat(name->sun_path, &status))
		return 0;
	if (!S_ISSOCK(status.st_mode) || is_alive(name, type))
		return -EADDRINUSE;
	unlink(name->sun_path);
	return 0;
}

int sockets_listen_unix(const char *path, int type, struct umbra_error *ret_error)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const struct group *group;
	int fd, code;
	mode_t mask;

	if (strlen(path) >= sizeof(name.sun_path))
		return umbra_error_set(ret_error, -ENAMETOOLONG, path, NULL,
				       "a path of at most %zu bytes was expected",
				       sizeof(name.sun_path) - 1);
	strcpy(name.sun_path, path);
	code = clear_path(&name, type);
	if (code)
		return umbra_error_set(ret_error, code, path, NULL,
				       "something else is there, or another umbrad listens on it");
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return umbra_error_set(ret_error, -errno, path, NULL, "socket: %s",
				       strerror(errno));
	/* Never, not even between bind() and chown(), open to others. */
	mask = umask(0117);
	code = bind(fd, (struct sockaddr *)&name, sizeof(name)) ? -errno : 0;
	umask(mask);
	if (!code)
		code = listen(fd, BACKLOG) ? -errno : 0;
	if (code) {
		close(fd);
		return umbra_error_set(ret_error, code, path, NULL, "%s", strerror(-code));
	}
	group = getgrnam("umbra");
	if (group && chown(path, -1, group->gr_gid)) {
		/* Without the right to give it away it stays ours alone, which is safe. */
	}
	return fd;
}
