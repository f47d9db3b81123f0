"""Files that people provide: text tables in any common form, and which photo a file name means."""
