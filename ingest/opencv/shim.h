#ifndef OODCAST_INGEST_OPENCV_SHIM_H
#define OODCAST_INGEST_OPENCV_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

// What GoCV 0.31 does not wrap.

// oodcast_backends returns the names of the video back ends, separated by commas; the caller frees it.
char *oodcast_backends(void);

// oodcast_silence turns the logs of OpenCV and FFmpeg to stderr off: callers report errors themselves, without
// credentials. From then on FFmpeg's messages are watched as below.
void oodcast_silence(void);

// FFmpeg says why something failed, and that the pictures of a stream change their size or format, in its log only, and
// decodes in threads of its own.
//
// oodcast_log_begin names the calling thread and all threads that are made by it: id is 1 to OODCAST_LOG_IDS.
// oodcast_log_reset forgets the reason of the calling thread; oodcast_log_reason copies its last warning or error to
// buf, "" when there was none. oodcast_log_changed tells what happened to id since it was asked last: a decoder
// started anew, which may be because of another size, or the conversion to RGB got a picture that is certainly too
// large.
#define OODCAST_LOG_IDS 4096
#define OODCAST_LOG_RESTARTED 1
#define OODCAST_LOG_MISFIT 2
void oodcast_log_begin(int id);
void oodcast_log_reset(void);
void oodcast_log_reason(char *buf, int size);
int oodcast_log_changed(int id);

#ifdef __cplusplus
}
#endif

#endif
