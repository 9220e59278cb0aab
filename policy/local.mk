# policy: files of this room
