#ifndef OODCAST_INGEST_OPENCV_SHIM_H
#define OODCAST_INGEST_OPENCV_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

// Functions that GoCV 0.31 does not wrap.

// oodcast_backends returns the names of the video back ends, separated by commas; the caller frees it.
char *oodcast_backends(void);

// oodcast_silence stops OpenCV, and FFmpeg below it, from logging to stderr.
void oodcast_silence(void);

#ifdef __cplusplus
}
#endif

#endif
