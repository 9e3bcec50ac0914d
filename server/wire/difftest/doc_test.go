// Package difftest sends the same requests to the Kafka door and to a real
// Apache Kafka broker and compares what they answer: error codes and every
// field that a client can see, but for texts, addresses, times and ids, which
// are compared by whether they are the same ones as before.
//
// A script (scripts_*_test.go) is run once for each version of its key that
// the door advertises. What remains different is in testdata/differences.txt,
// each with the reason; a difference without one fails, and a reason without a
// difference, too.
//
// Scripts find what somebody thought of. TestRandom makes conversations up, of
// several clients' requests of all kinds, mostly right and often slightly wrong, and
// shortens those that end in a difference; -seeds says how many, -seed which one.
// What it found that matters to clients is a script then.
//
// Where no real broker can be had, the test says so and skips.
package difftest
