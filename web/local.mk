# web: files of this room
