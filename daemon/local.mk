# daemon: files of this room
