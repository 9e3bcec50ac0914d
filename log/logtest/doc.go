// Package logtest holds the contract of log.Log as tests that every backend
// must pass: Run calls them all. What the contract leaves open (whether
// transaction markers take offsets, in which order records of transactions
// stand that were open together) is not assumed.
//
//	topics.go        topics and the errors for unknown ones
//	records.go       Produce, Fetch, offsets, times, epochs, Trim
//	transactions.go  writers: atomicity, order, fencing, offsets
//	model.go         random writers against a model
package logtest
