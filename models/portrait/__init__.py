"""People in photographs and video calls: MediaPipe's selfie segmentation, converted."""
