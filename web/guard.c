/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/guard.h"

static bool same(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && !strncasecmp(text, name, len);
}

/* The end of "name" in "name:port"; NULL: malformed. */
static const char *split_port(const char *host)
{
	const char *end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":");

	if (!end)
		return NULL;
	end += *end == ']';
	if (*end && *end != ':')
		return NULL;
	for (const char *p = end + (*end == ':'); *p; p++) {
		if (!isdigit((unsigned char)*p))
			return NULL;
	}
	return end;
}

bool guard_host(const char *host, const char *listen_address)
{
	static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *end = split_port(host);
	size_t len;

	if (!end)
		return false;
	len = end - host;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (same(host, len, own[i]))
			return true;
	}
	if (len > 2 && host[0] == '[')
		return same(host + 1, len - 2, listen_address);
	return same(host, len, listen_address);
}

bool guard_origin(const char *origin, const char *listen_address)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);

		if (!strncasecmp(origin, schemes[i], len))
			return guard_host(origin + len, listen_address);
	}
	return false;
}

/* Whether the peer has the group, as its own or as a supplementary one. */
static bool peer_in_group(int fd, const struct ucred *peer, gid_t group)
{
	socklen_t size = 0;
	bool found = false;
	gid_t *groups;

	if (peer->gid == group)
		return true;
	/* The first call only asks for the size. */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (!groups)
		return false;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size)) {
		for (size_t i = 0; i < size / sizeof(*groups); i++)
			found |= groups[i] == group;
	}
	free(groups);
	return found;
}

bool guard_peer(int fd)
{
	struct group group, *found = NULL;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	char buffer[4096];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	if (getgrnam_r("umbra", &group, buffer, sizeof(buffer), &found) || !found)
		return false;
	return peer_in_group(fd, &peer, found->gr_gid);
}
