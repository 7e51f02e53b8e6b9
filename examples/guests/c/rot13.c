// stdin to stdout, each letter moved by thirteen. A WASI command: the C library starts it.
//
//   clang --target=wasm32-wasi --sysroot=/usr -O2 rot13.c -o rot13.wasm
#include <ctype.h>
#include <stdio.h>

int main(void) {
  int letter;
  while ((letter = getchar()) != EOF) {
    int base = isupper(letter) ? 'A' : 'a';
    putchar(isalpha(letter) ? (letter - base + 13) % 26 + base : letter);
  }
  return ferror(stdin) ? 1 : 0;
}
