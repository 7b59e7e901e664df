package main

import "fmt"
func simulate(n int) []string { return nil }
func page(n int, r []string) string { return fmt.Sprint(n) }
func plot(r []string) string { return "" }
