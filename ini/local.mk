# ini: INI files.
noinst_LIBRARIES += libini.a
libini_a_SOURCES = \
	ini/ini_file.c \
	ini/ini_file.h
libini_a_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
INI_LIBS = libini.a $(INIH_LIBS)
