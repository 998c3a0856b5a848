export const value = "depth two";
