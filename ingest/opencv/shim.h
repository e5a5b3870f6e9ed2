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

// FFmpeg says why something failed, and that the pictures of a stream change their size or format, in its log only. These
// are about messages of the calling thread, since its last oodcast_log_reset.
//
// oodcast_log_reset forgets everything. oodcast_log_reason copies the last warning or error to buf, "" when there was
// none. oodcast_log_changed tells whether a decoder started anew or the conversion to RGB found a picture of another size.
void oodcast_log_reset(void);
void oodcast_log_reason(char *buf, int size);
int oodcast_log_changed(void);

#ifdef __cplusplus
}
#endif

#endif
