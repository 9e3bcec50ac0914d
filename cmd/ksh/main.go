// Command ksh is Karst: streaming SQL in one binary.
package main

func main() {}
