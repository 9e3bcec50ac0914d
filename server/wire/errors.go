package wire

import (
	"errors"

	"karst/log"
)

// Error codes of the protocol that no error of the log stands for.
const (
	codeNone                    int16 = 0
	codeUnknownTopicOrPartition int16 = 3
	codeLeaderNotAvailable      int16 = 5
	codeMetadataTooLarge        int16 = 12
	codeInvalidGroupID          int16 = 24
	codeGroupDenied             int16 = 30
	codeTxnDenied               int16 = 53
	codeUnsupportedSASL         int16 = 33
	codeIllegalSASLState        int16 = 34
	codeUnsupportedVersion      int16 = 35
	codeInvalidTopic            int16 = 17
	codeTopicExists             int16 = 36
	codeInvalidPartitions       int16 = 37
	codeInvalidReplication      int16 = 38
	codeInvalidAssignment       int16 = 39
	codeInvalidConfig           int16 = 40
	codeInvalidRequest          int16 = 42
	codeSecurityDisabled        int16 = 54
	codeSASLFailed              int16 = 58
	codeFencedLeaderEpoch       int16 = 74
	codeFetchSessionNotFound    int16 = 70
	codeUnknownLeaderEpoch      int16 = 75
	codeElectionNotNeeded       int16 = 84
	codeNoReassignment          int16 = 85
	codeInvalidRecord           int16 = 87

	codePreferredLeaderNotAvailable int16 = 80
	codeEligibleLeadersNotAvailable int16 = 83
	codeResourceNotFound            int16 = 91
	codeUnknownTopicID              int16 = 100
)

// reason is the text that goes with a code, nil for none.
func reason(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &text
}

func text(s string) *string { return &s }

// epochError checks the leader epoch that a client believes to be current, -1
// if it doesn't say.
func epochError(current, leader int32) int16 {
	switch {
	case current == -1 || current == leader:
		return codeNone
	case current < leader:
		return codeFencedLeaderEpoch
	}
	return codeUnknownLeaderEpoch
}

// producerCode is Code for requests of a version that doesn't know all codes.
func producerCode(err error, version, knows int16) int16 {
	if errors.Is(err, log.ErrTxnAbortable) && version < knows {
		return log.Code(log.ErrTxnState)
	}
	return codeOf(err)
}

// codeLoading says that the coordinator is not ready yet.
const codeLoading int16 = 14

// coordinatorCode is the code for err in requests to a coordinator of groups or
// transactions. Of a shortage that passes it makes one that clients of these requests
// wait for: at a storage error they give up.
func coordinatorCode(err error) int16 {
	if errors.Is(err, log.ErrDiskFull) || errors.Is(err, log.ErrNoFiles) {
		return codeLoading
	}
	return codeOf(err)
}

// A wireError is an error of the protocol itself, which the log has no name
// for.
type wireError struct {
	code int16
	text string
}

func (e wireError) Error() string { return e.text }

// codeOf returns err's code: a wireError's own, else that of the log's error.
func codeOf(err error) int16 {
	var e wireError
	if errors.As(err, &e) {
		return e.code
	}
	return log.Code(err)
}
